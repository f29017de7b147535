package resolve

import "context"

// Static is a Resolver that answers from literal records, for tests and
// overrides. A question that is not there has an Answer without records; so
// has one whose aliases do not end. A question for a name with a TypeCNAME entry
// goes on at the Canonical of that entry. An Answer without Canonical gets the
// name it was found under.
//
// Static is safe for many goroutines as long as nobody writes to it.
type Static map[Question]Answer

// Lookup implements Resolver. Its only error is that of ctx.
func (s Static) Lookup(ctx context.Context, q Question) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	way := Answer{Canonical: q.Name, Secure: true, TTL: maxTTL}
	for range maxAliases + 1 {
		alias, found := s[Question{way.Canonical, TypeCNAME}]
		if !found || q.Type == TypeCNAME {
			return s.answer(q, way), nil
		}
		way.Canonical = alias.Canonical
		way.Secure = way.Secure && alias.Secure
		way.TTL = min(way.TTL, alias.TTL)
	}
	return Answer{}, nil
}

// answer is the entry at the end of the way, limited by what the aliases were
// worth.
func (s Static) answer(q Question, way Answer) Answer {
	a, found := s[Question{way.Canonical, q.Type}]
	if a.Canonical == "" && (found || way.Canonical != q.Name) && q.Type != TypeCNAME {
		a.Canonical = way.Canonical
	}
	a.Secure = a.Secure && way.Secure
	a.TTL = min(a.TTL, way.TTL)
	return a
}
