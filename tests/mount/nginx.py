"""nginx.py FOLDER ROOT [LINE]...: nginx on a free loopback port, which is printed.

The socket is made here and handed over as nginx does to its own successor (NGINX=fd:), so the port
cannot be taken by another in between and connections succeed as soon as the port is known.
LINEs go into the server block."""
import os, socket, sys

folder, root, lines = sys.argv[1], sys.argv[2], sys.argv[3:]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(512)
port = listener.getsockname()[1]
user = "user root;" if os.getuid() == 0 else ""
temp = "\n".join("%s_temp_path %s/nginx-%s;" % (p, folder, p)
                 for p in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
with open(folder + "/nginx.conf", "w") as conf:
    conf.write(f"""
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error;
events {{ worker_connections 2048; }}
http {{
	{temp}
	default_type application/octet-stream;
	log_format test '$request_method $uri $status range="$http_range" sent=$body_bytes_sent agent=$http_user_agent';
	access_log {folder}/access test;
	sendfile on;
	keepalive_requests 1000000;
	server {{
		listen 127.0.0.1:{port};
		root {root};
		location /slow/ {{ alias {root}/; limit_rate 1m; }}
		{' '.join(lines)}
	}}
}}
""")
os.set_inheritable(listener.fileno(), True)
os.environ["NGINX"] = "%d:" % listener.fileno()
print(port, flush=True)
os.dup2(2, 1)
os.execvp("nginx", ["nginx", "-p", folder, "-e", folder + "/nginx.error", "-c", folder + "/nginx.conf",
                    "-g", "daemon off;"])
