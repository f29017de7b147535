package resolve

import "context"

type afreshKey struct{}

// Afresh gives a ctx with which Cached asks its Resolver whatever it has, and keeps
// the answer in the place of the old one. It is for who has found that an answer
// must be out of date, as TLSA records which a server does not fit. What a name server
// keeps is out of reach.
func Afresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, afreshKey{}, true)
}

// IsAfresh tells whether ctx comes from Afresh. A Resolver of one's own that keeps
// answers should look.
func IsAfresh(ctx context.Context) bool { return ctx.Value(afreshKey{}) != nil }
