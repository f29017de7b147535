package main

import (
	"os"

	"github.com/postrider/postrider/smtpclient"
)

// trials are the cases of the tables.
func trials() (list []trial, clean func(), err error) {
	small, many, medium, large := letterTo(1, 1<<10), letterTo(50, 1<<10), letterTo(1, 100<<10), letterTo(1, 10<<20)
	clean = func() { os.Remove(large.file) }
	if err := inFile(large); err != nil {
		return nil, clean, err
	}
	data, bdat, overlapped := rawSender("raw DATA", rawData), rawSender("raw BDAT", rawBDAT), rawSender("raw overlapped", rawOverlapped)
	send := postriderSession("Postrider, Session.Send", smtpclient.ChunkingOff, again())
	peers := []sender{netSMTP, goSMTP, goMail, moxClient}
	usual := append([]sender{send, postriderClient("Postrider, Client.Deliver, pool")}, peers...)
	list = []trial{
		{name: "1 KiB, 1 recipient", letter: small, messages: 1000, senders: append(usual, bdat, overlapped, data)},
		{name: "1 KiB, 50 recipients", letter: many, messages: 300, senders: append(usual, data)},
		{name: "1 KiB, 1 recipient, TLS", letter: small, messages: 1000, encrypted: true, senders: append(usual, data)},
		{name: "100 KiB, 1 recipient", letter: medium, messages: 100, senders: append(usual, data)},
		{name: "10 MiB", letter: large, messages: 5, senders: []sender{
			send,
			postriderSession("Postrider, fresh content", smtpclient.ChunkingOff, fresh),
			postriderSession("Postrider, file, DATA", smtpclient.ChunkingOff, fromFile),
			postriderSession("Postrider, file, BDAT", smtpclient.ChunkingAuto, fromFile),
			moxClient, bdat, data,
		}},
		{name: "10 MiB, LF and dots", letter: broken(large), messages: 5, senders: []sender{
			postriderSession("Postrider, Session.Send", smtpclient.ChunkingOff, again()), data,
		}},
		{name: "10 MiB, TLS", letter: large, messages: 5, encrypted: true, senders: []sender{send, moxClient, data}},
		{name: "4 sessions, 1 KiB", letter: small, messages: 4000, sessions: 4, senders: []sender{
			postriderOverlapped("Postrider, 64 goroutines", 64, 4, smtpclient.Quirks{}),
			postriderOverlapped("Postrider, 64 goroutines, not overlapped", 64, 4, smtpclient.Quirks{NoOverlap: true}),
			postriderSession("Postrider, 4 x Session.Send", smtpclient.ChunkingOff, fresh), moxClient, data, overlapped,
		}},
	}
	return list, clean, nil
}
