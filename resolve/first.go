package resolve

import (
	"context"
	"errors"
	"fmt"
)

// First asks one Resolver after the other until one of them has records:
//
//	resolve.First{&resolve.DNS{}, resolve.System{}}
//
// knows what is in the DNS and, for names that are not, in the hosts file. Only a
// certain "there is nothing" leads on to the next: after an error nobody knows
// whose records would be right, and mail waits. A Resolver that cannot ask for a
// type at all (errors.ErrUnsupported) is passed over. If none has records, the
// answer is that of the first one that could say so. A First is safe for many
// goroutines as long as nobody writes to it.
type First []Resolver

// Lookup implements Resolver. The error is that of the Resolver that failed.
func (f First) Lookup(ctx context.Context, q Question) (Answer, error) {
	var none *Answer
	unable := fmt.Errorf("DNS lookup of %s %v: no Resolver in First is able to: %w", quote(q.Name), q.Type, errors.ErrUnsupported)
	for _, r := range f {
		a, err := r.Lookup(ctx, q)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			unable = err
		case err != nil:
			return Answer{}, err
		case a.hasRecords(q.Type):
			return a, nil
		case none == nil:
			none = &a
		}
	}
	if none == nil {
		return Answer{}, unable
	}
	return *none, nil
}
