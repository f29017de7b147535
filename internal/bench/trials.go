package main

import (
	"slices"

	"github.com/postrider/postrider/smtpclient"
)

// experiments are all there is, in the order of the tables.
func experiments() []experiment {
	return slices.Concat(rates(), manySessions(), coldSessions(), roundTrips(), memories(), scale(), []experiment{againstPostfix()})
}

func rates() []experiment {
	send, data := sessionSend(), rawSender("raw DATA", rawData)
	bdat, overlapped := rawSender("raw BDAT", rawBDAT), rawSender("raw overlapped", rawOverlapped)
	usual := slices.Concat([]sender{send, pooled()}, peers())
	withC := append(usual, smtpSource(1))
	list := []trial{
		{letter: letterTo(1, 1<<10), messages: 2000, senders: slices.Concat(
			[]sender{alone{chunking: smtpclient.ChunkingOff, plain: true}.sender("Session.Send, plain ctx"), limited()}, withC, []sender{bdat, overlapped, data})},
		{letter: letterTo(50, 1<<10), messages: 1000, slow: 200, senders: slices.Concat(withC, []sender{bdat, data})},
		{letter: letterTo(1, 1<<10), messages: 2000, encrypted: true, senders: slices.Concat(usual, []sender{data})},
		{letter: letterTo(1, 100<<10), messages: 500, slow: 100, senders: slices.Concat(withC, []sender{bdat, data})},
		{letter: letterTo(1, 10<<20), messages: 10, slow: 1, senders: slices.Concat(withC, []sender{
			alone{content: fresh, chunking: smtpclient.ChunkingOff}.sender("Session.Send, fresh content"),
			alone{content: sameFile, chunking: smtpclient.ChunkingOff}.sender("Session.Send, same file, DATA"),
			alone{content: sameFile}.sender("Session.Send, same file, BDAT"),
			alone{content: freshFile, chunking: smtpclient.ChunkingOff}.sender("Session.Send, file, DATA"),
			alone{content: freshFile}.sender("Session.Send, file, BDAT"),
			alone{chunking: smtpclient.ChunkingAfter}.sender("Session.Send, BDAT"), bdat, data})},
		{letter: broken(letterTo(1, 10<<20)), messages: 10, slow: 1, senders: []sender{send, data}},
		{letter: letterTo(1, 10<<20), messages: 10, slow: 1, encrypted: true, senders: slices.Concat(usual, []sender{data})},
		{letter: letterTo(1, 1<<10), messages: 2000, to: (*hall).smtpSink, senders: slices.Concat(withC, []sender{data})},
	}
	names := []string{"1 KiB", "1 KiB, 50 recipients", "1 KiB, TLS 1.3", "100 KiB", "10 MiB", "10 MiB, LF and dots", "10 MiB, TLS 1.3", "1 KiB, to smtp-sink"}
	return named("rates", names, list)
}

// named makes experiments of trials.
func named(part string, names []string, list []trial) []experiment {
	var all []experiment
	for i, t := range list {
		all = append(all, experiment{part: part, name: names[i], setup: t.setup})
	}
	return all
}

func manySessions() []experiment {
	letter := letterTo(1, 1<<10)
	data, overlapped := rawSender("raw DATA", rawData), rawSender("raw overlapped", rawOverlapped)
	four := trial{letter: letter, messages: 8000, sessions: 4, senders: []sender{
		crowd{goroutines: 64, sessions: 4}.sender("Client.Deliver, 64 goroutines"),
		crowd{goroutines: 64, sessions: 4, quirks: smtpclient.Quirks{NoOverlap: true}}.sender("Client.Deliver, not overlapped"),
		sessionSend(), moxClient(), data, overlapped,
	}}
	list := []experiment{{part: "sessions", name: "4 sessions, 64 goroutines", setup: four.setup}}
	for _, n := range []int{10, 100, 1000} {
		t := trial{letter: letter, messages: 5000, sessions: n, senders: slices.Concat(
			[]sender{sessionSend(), crowd{goroutines: n, sessions: n}.sender("Client.Deliver")}, peers(), []sender{smtpSource(n), overlapped, data})}
		list = append(list, experiment{part: "sessions", name: thousands(n) + " sessions", setup: t.setup})
	}
	return list
}

func coldSessions() []experiment {
	plain := trial{letter: letterTo(1, 1<<10), messages: 300, cold: true, senders: slices.Concat(
		[]sender{sessionSend(), perMessage()}, peers(), []sender{rawSender("raw DATA", rawData)})}
	encrypted := plain
	encrypted.encrypted, encrypted.messages = true, 150
	return named("cold", []string{"plaintext", "STARTTLS"}, []trial{plain, encrypted})
}

// roundTrips are counted on a line with 40 ms for there and back.
func roundTrips() []experiment {
	var list []experiment
	add := func(name string, t trial) {
		list = append(list, experiment{part: "trips", name: name, rounds: 2, cold: true, setup: func(h *hall) (*contest, error) {
			t.to, t.rtt = (*hall).far, h.rtt
			return t.setup(h)
		}})
	}
	data, bdat, overlapped := rawSender("raw DATA", rawData), rawSender("raw BDAT", rawBDAT), rawSender("raw overlapped", rawOverlapped)
	usual := slices.Concat([]sender{sessionSend(), pooled()}, peers())
	grouped := smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}
	warm := slices.Concat(few(append(usual, data)), []sender{
		crowd{goroutines: 64, sessions: 1}.sender("Client.Deliver, 64 goroutines"),
		crowd{goroutines: 64, sessions: 1, quirks: grouped}.sender("Client.Deliver, 64 goroutines, grouped"), bdat, overlapped})
	add("1 recipient", trial{letter: letterTo(1, 1<<10), messages: 64, slow: 5, senders: warm, floor: data.name})
	add("50 recipients", trial{letter: letterTo(50, 1<<10), messages: 64, slow: 1, senders: warm, floor: data.name})
	cold := trial{letter: letterTo(1, 1<<10), messages: 2, cold: true, senders: slices.Concat([]sender{sessionSend(), perMessage()}, peers(), []sender{data})}
	add("new connection, plaintext", cold)
	cold.encrypted = true
	add("new connection, STARTTLS", cold)
	return list
}

// few has the senders send as many messages as slow ones.
func few(senders []sender) []sender {
	senders = slices.Clone(senders)
	for i := range senders {
		senders[i].slow = true
	}
	return senders
}
