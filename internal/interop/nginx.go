package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Nginx is a private web server that keeps the body of each request in a file.
type Nginx struct {
	*process

	dir string
}

// StartNginx starts one that answers at 127.0.0.1:port by HTTPS, with a certificate and
// its key in PEM: 201 to a POST to /reports, and 404 to the rest. An error that wraps
// ErrMissing says what to install.
func StartNginx(port uint16, certificate *Certificate) (*Nginx, error) {
	program, err := find("nginx", "nginx")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("nginx")
	if err != nil {
		return nil, err
	}
	words := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port))
	err = writeFiles(dir, map[string]string{
		"nginx.conf": words.Replace(nginxConf),
		"cert.pem":   string(certificate.Chain),
		"key.pem":    string(certificate.Key),
	})
	n := &Nginx{dir: dir}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "bodies"), 0o777)
	}
	if err == nil {
		n.process, err = start(dir, filepath.Join(dir, "requests"), program, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "errors"))
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := n.waitUntil("nginx", func() error { return listens(hostPort("127.0.0.1", port)) }); err != nil {
		n.Stop()
		return nil, err
	}
	return n, nil
}

// Received waits for a request whose line in the log holds the words, and gives the line
// and the body: method, URI, type, status, file.
func (n *Nginx) Received(words ...string) (line string, body []byte, err error) {
	line, err = n.WaitForLog(words...)
	if err != nil {
		return "", nil, err
	}
	fields := strings.Fields(line)
	body, err = os.ReadFile(fields[len(fields)-1])
	return line, body, err
}

// The body is read, and kept, where something behind asks for it: a second server.
const nginxConf = `daemon off;
user root;
worker_processes 1;
pid DIR/pid;
error_log DIR/errors;
events { worker_connections 64; }
http {
  log_format line '$request_method $request_uri $content_type $status $request_body_file';
  access_log DIR/requests line;
  client_body_temp_path DIR/bodies;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  server {
    listen 127.0.0.1:PORT ssl;
    ssl_certificate DIR/cert.pem;
    ssl_certificate_key DIR/key.pem;
    location = /reports {
      client_body_in_file_only on;
      proxy_pass http://unix:DIR/behind:/;
    }
    location / { return 404; }
  }
  server {
    listen unix:DIR/behind;
    access_log off;
    return 201;
  }
}
`

// listens tells whether somebody takes connections there.
func listens(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}
