// Gateway API's conformance suite as a program, and the backend that it expects, on an address of its own.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"golang.org/x/net/websocket"

	"sigs.k8s.io/gateway-api/conformance"
)

func main() {
	// What plays pods gives each its address.
	if host := os.Getenv("HOST"); host != "" {
		backend(host)
		return
	}
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "Conformance", F: conformance.RunConformance}}, nil, nil)
}

// backend answers as the suite's own `echo-basic` does, whose programs listen on every address of their machine.
func backend(host string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", echo)
	mux.Handle("/ws", websocket.Handler(func(ws *websocket.Conn) { _, _ = io.Copy(ws, ws) }))
	failed := make(chan error)
	go func() { failed <- http.ListenAndServe(host+":3000", mux) }()
	go func() { failed <- http.ListenAndServe(host+":3001", h2c.NewHandler(http.HandlerFunc(echo), &http2.Server{})) }()
	panic(<-failed)
}

func echo(w http.ResponseWriter, r *http.Request) {
	for _, list := range r.Header["X-Echo-Set-Header"] {
		for _, field := range strings.Split(list, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(field), ":")
			if known := w.Header()[name]; len(known) > 0 {
				known[0] += "," + strings.TrimSpace(value)
			} else {
				w.Header()[name] = []string{value}
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"path": r.RequestURI, "host": r.Host, "method": r.Method, "proto": r.Proto, "headers": r.Header, "httpPort": "3000",
		"namespace": os.Getenv("NAMESPACE"), "pod": os.Getenv("POD_NAME"), "service": "", "ingress": "",
	})
}
