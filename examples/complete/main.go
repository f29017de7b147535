// Complete takes messages by HTTP, signs them with DKIM and delivers them anywhere, verified by DANE
// or MTA-STS, over connections that are kept, with metrics for Prometheus.
package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/promstats"
	"github.com/postrider/postrider/tlspolicy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func newServer(client *smtpclient.Client, key crypto.Signer) http.Handler {
	stats, metrics, mux := promstats.New(promstats.Options{Pool: client.Pool}), prometheus.NewRegistry(), http.NewServeMux()
	metrics.MustRegister(stats)
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	// POST /send?from=ann@example.org&to=bob@example.net, with the message in the body
	mux.HandleFunc("POST /send", func(w http.ResponseWriter, r *http.Request) {
		var signed bytes.Buffer
		if err := dkim.Sign(&signed, r.Body, &dkim.SignOptions{Domain: "example.org", Selector: "mail", Signer: key}); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		report, _ := client.Deliver(smtpclient.WithTrace(r.Context(), stats.Trace()), smtpclient.Envelope{
			From: r.URL.Query().Get("from"),
			To:   smtpclient.To(r.URL.Query().Get("to")),
		}, smtpclient.Bytes(signed.Bytes()))
		o := report.Outcomes[0]
		fmt.Fprintln(w, o.Address, o.Status, o.Host, "TLS", o.TLS.Reached, o.TLS.Verified, o.Err())
	})
	return mux
}

func main() {
	client := &smtpclient.Client{LocalName: "mail.example.org", Pool: &smtpclient.Pool{PerDestination: 4}, TLS: tlspolicy.Default()}
	if len(os.Args) == 1 {
		os.Exit(demo(client, os.Stdout)) // all on this machine
	}
	der, err := os.ReadFile(os.Args[1]) // openssl genpkey -algorithm ed25519 -outform DER
	if err != nil {
		log.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("localhost:8025", newServer(client, key.(crypto.Signer))))
}
