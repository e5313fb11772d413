# One nginx, in the foreground, on the port of the first argument, everything it writes in a folder that goes with it.
set -e
dir=$(mktemp -d)
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
# The signal that ends it goes to both; the first wait ends with it, the second with nginx.
trap : TERM INT
nginx -c "$dir/nginx.conf" &
wait $! || wait $! || true
rm -rf "$dir"
