# One nginx, in the foreground, on the port of the first argument, everything it writes in a folder of its own.
set -e
dir=$(cd ../../target && pwd)/nginx-$1
mkdir -p "$dir"
cat > "$dir/nginx.conf" <<CONF
daemon off;
pid $dir/pid;
error_log stderr warn;
worker_processes 1;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    server { listen 127.0.0.1:$1; location / { default_type text/plain; return 200 "hello from nginx\n"; } }
}
CONF
exec nginx -c "$dir/nginx.conf"
