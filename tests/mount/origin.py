"""origin.py FOLDER ROOT: an HTTP server on a free loopback port (printed) that misbehaves on request.

A URL names a file below ROOT; its query says how it is served:

  hold=N      at byte N of the file: wait until somebody opens FOLDER/hold for writing
  drop        ... and then cut the connection instead of going on
  wait        the same before anything is answered
  cut=N       cut the connection after N bytes of this answer
  norange     answer 200 with the whole file to any range
  long=N      promise N bytes more than come
  nolength    neither length nor chunks: the end of the connection ends the body
  shift       answer ranges with a Content-Range one byte off
  total=N     ... with N as the total
  status=N    that status, with an error page
  after=N     Retry-After: N
  noetag      no ETag, no Last-Modified
  first=N     misbehave in the first N requests for this URL only

Each request that is answered is a line in FOLDER/origin.log before it is: METHOD PATH STATUS range=..."""
import http.server, os, re, socket, sys, threading, urllib.parse

folder, root = sys.argv[1:3]
lock = threading.Lock()
seen = {}
PAGE = b"<html><body>This is an error page and not the file.</body></html>\n" * 20


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        how = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        with lock:
            seen[self.path] = seen.get(self.path, 0) + 1
            if "first" in how and seen[self.path] > int(how["first"]):
                how = {}
        try:
            self.serve(urllib.parse.unquote(parts.path), how)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def page(self, status, how):
        self.answer(status, [("Content-Length", len(PAGE)), ("Content-Type", "text/html")] +
                    ([("Retry-After", how["after"])] if "after" in how else []))
        self.wfile.write(PAGE)

    def answer(self, status, headers):
        with lock, open(folder + "/origin.log", "a") as log:
            log.write('%s %s %d range="%s"\n' % (self.command, urllib.parse.urlsplit(self.path).path, status,
                                                self.headers.get("Range", "")))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def hold(self):
        with open(folder + "/hold"):  # until somebody opens it for writing
            pass

    def serve(self, path, how):
        if "wait" in how:
            self.hold()
        if "status" in how:
            return self.page(int(how["status"]), how)
        try:
            body = open(root + path, "rb")
        except OSError:
            return self.page(404, how)
        stat = os.fstat(body.fileno())
        tag = '"%x-%x"' % (stat.st_mtime_ns, stat.st_size)
        first, end, status = 0, stat.st_size, 200
        headers = [("Accept-Ranges", "bytes")]
        if "noetag" not in how:
            headers += [("ETag", tag), ("Last-Modified", self.date_time_string(stat.st_mtime))]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and "norange" not in how and self.headers.get("If-Range", tag) in (
                tag, self.date_time_string(stat.st_mtime)):
            first = int(asked[1])
            end = min(end, int(asked[2]) + 1 if asked[2] else end)
            status = 206
            if first >= stat.st_size:
                return self.page(416, how)
            said = first + 1 if "shift" in how else first
            headers.append(("Content-Range", "bytes %d-%d/%s" % (said, end - 1, how.get("total", stat.st_size))))
        if "nolength" in how:
            headers.append(("Connection", "close"))
        else:
            headers.append(("Content-Length", end - first + int(how.get("long", 0))))
        self.answer(status, headers)
        self.send(body, first, end, how)
        if "nolength" in how or "long" in how:
            self.cut()

    def send(self, body, first, end, how):
        hold = int(how.get("hold", -1))
        stop = first + int(how["cut"]) if "cut" in how else -1
        body.seek(first)
        at = first
        while at < end:
            n = min(65536, end - at)
            for mark in (hold, stop):
                if at < mark:
                    n = min(n, mark - at)
            self.wfile.write(body.read(n))
            at += n
            if at == hold:
                self.wfile.flush()
                self.hold()
                if "drop" in how:
                    return self.cut()
            if at == stop:
                return self.cut()

    def cut(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, address):
        pass  # clients of these tests come and go as they like


server = Server(("127.0.0.1", 0), Origin)
print(server.server_address[1], flush=True)
os.dup2(2, 1)
server.serve_forever()
