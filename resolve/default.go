package resolve

// ofMachine is what Default gives. It stands here, and not in each of those who
// are without a Resolver, since most of them live for one call: they would read
// /etc/resolv.conf anew each time, and wait again for a server that is silent.
var ofMachine = &DNS{}

// Default is the Resolver where none is set: a zero DNS, which asks the name
// servers of this machine. It is the same one for the whole program, so that all
// know what one has learned: which server was silent of late, and what is in
// /etc/resolv.conf. It keeps no answers.
func Default() Resolver { return ofMachine }

func orDefaultResolver(r Resolver) Resolver {
	if r == nil {
		return ofMachine
	}
	return r
}
