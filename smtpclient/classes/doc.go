// Package classes tells why a server did not take a message, in a word, and when it
// makes sense to come back.
//
// What a delivery comes to is a status, a reply code and a text that every receiver
// writes as it likes. Of puts it in a class:
//
//	report, _ := client.Deliver(ctx, env, message)
//	for _, o := range report.Outcomes {
//		switch v := classes.Of(o); v.Class {
//		case classes.BadMailbox:
//			// take the address off the list
//		case classes.Greylist, classes.RateLimit:
//			queue(o, time.Now().Add(v.After))
//		}
//	}
//
// The classes come from a table of texts, enhanced codes and reply codes: table.txt,
// where each row has the page that it was taken from and a reply that it decides. A
// Table has rows of your own before these, and a function that has the last word.
//
// A class is a guess by what a server says. It changes nothing about the status, and
// nothing in package smtpclient depends on it. To have the status follow, ask it in
// smtpclient.Client.Classify.
package classes
