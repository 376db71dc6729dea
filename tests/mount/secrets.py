# An HTTPS server that answers with the common name of the client's certificate; without arguments one of
# plain HTTP, or a proxy, that asks for a login and answers with what it was given, or redirects from
# /to/URL. Prints its port.
#	secrets.py [CERTIFICATE-AND-KEY CLIENTS.pem]
import http.server, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        subject = (self.connection.getpeercert() or {}).get("subject", ())
        body = "".join(value for rdn in subject for key, value in rdn if key == "commonName") or "nobody"
        body = body.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

class Login(Handler):
    def do_GET(self):
        login = self.headers["Authorization"]
        body = (login or "").encode()
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[len("/to/"):])
        elif login:
            self.send_response(200)
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler if sys.argv[1:] else Login)
server.daemon_threads = True
if sys.argv[1:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    context.load_verify_locations(sys.argv[2])
    context.verify_mode = ssl.CERT_OPTIONAL
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
