package debugpage_test

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/debugpage"
)

// guarded lets in who has the password of this machine's administrators. Without
// one nobody is let in.
func guarded(password string, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, given, ok := r.BasicAuth()
		if !ok || password == "" || subtle.ConstantTimeCompare([]byte(given), []byte(password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="mail", charset="UTF-8"`)
			http.Error(w, "Who are you?", http.StatusUnauthorized)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// The page belongs behind the program's own authentication, and to an address that
// only its administrators reach.
func Example() {
	client := &smtpclient.Client{Pool: &smtpclient.Pool{}}
	defer client.Pool.Close(context.Background())
	page := &debugpage.Page{Pool: client.Pool, Hosts: []string{"localhost"}}
	_ = smtpclient.WithTrace(context.Background(), page.Trace()) // the ctx of the program's deliveries

	mux := http.NewServeMux()
	mux.Handle("GET /debug/mail", guarded(os.Getenv("MAIL_DEBUG_PASSWORD"), page))
	// http.ListenAndServe("localhost:6060", mux)

	for _, host := range []string{"localhost:6060", "attacker.example"} {
		request := httptest.NewRequest("GET", "http://"+host+"/debug/mail", nil)
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		fmt.Println(host, answer.Code)
	}
	answer := httptest.NewRecorder()
	page.ServeHTTP(answer, httptest.NewRequest("GET", "http://attacker.example/debug/mail", nil))
	fmt.Println("behind the guard, by the wrong name:", answer.Code)
	// Output:
	// localhost:6060 401
	// attacker.example 401
	// behind the guard, by the wrong name: 421
}
