package redislimit_test

import (
	"context"
	"log"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/redislimit"
	"github.com/redis/go-redis/v9"
)

// Twenty sessions to each destination and a hundred messages a second to it, for all
// machines together. While Redis is away each goes on with a share of its own.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer client.Close()
	rules := func(sessions, perSecond int) func(smtpclient.Use) []smtpclient.Limit {
		return func(u smtpclient.Use) []smtpclient.Limit {
			if u.Connection {
				return []smtpclient.Limit{{Key: u.Site, Max: sessions}}
			}
			return []smtpclient.Limit{{Key: u.Site, Max: perSecond, Per: time.Second, Burst: 10}}
		}
	}
	limiter := &redislimit.Limiter{
		Redis: client,
		Rules: rules(20, 100),
		Down:  &smtpclient.LocalLimiter{Rules: rules(4, 20)},
	}
	defer limiter.Close()
	sender := &smtpclient.Client{LocalName: "mail.example.org", Limiter: limiter}
	report, err := sender.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
	for _, o := range report.Outcomes {
		if !o.NotBefore.IsZero() {
			log.Printf("%s: again at %v", o.Address, o.NotBefore)
		}
	}
	if err != nil {
		log.Print(err)
	}
}
