package tlspolicy

// raised is what holds if p was decided after least, which is the least that the
// channel must be: the stronger of both. Where both have something to hold
// against the certificate, both count: an MTA-STS policy never makes up for TLSA
// records that do not fit (RFC 8461, Section 2).
func (least Policy) raised(p Policy) Policy {
	switch {
	case least.Level == 0:
		return p
	case least.Level.Authenticates() && p.Level.Authenticates():
		p.also = &least
		return p
	case p.strength() > least.strength():
		if p.Published.Type == "" && !p.Level.Authenticates() {
			p.Published = least.Published // beside a proof it would look like its reason
			if p.Roots == nil {
				p.Roots = least.Roots // that it is held against, for reports
			}
		}
		return p
	}
	least.Implicit = least.Implicit || p.Implicit
	return least
}

// strength orders policies; those that authenticate are equal.
func (p Policy) strength() int {
	switch {
	case p.Level.Authenticates():
		return 3
	case p.Level.Mandatory() || p.Implicit:
		return 2
	case p.Level == May:
		return 1
	}
	return 0
}
