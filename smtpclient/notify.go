package smtpclient

// String is the value of NOTIFY, as "SUCCESS,FAILURE"; "" where n is zero.
func (n Notify) String() string { return string(n.append(nil)) }

// append adds the value of NOTIFY (RFC 3461, Section 4.1).
func (n Notify) append(b []byte) []byte {
	sep := ""
	for _, v := range [...]struct {
		bit  Notify
		word string
	}{{NotifyNever, "NEVER"}, {NotifySuccess, "SUCCESS"}, {NotifyFailure, "FAILURE"}, {NotifyDelay, "DELAY"}} {
		if n&v.bit != 0 {
			b = append(append(b, sep...), v.word...)
			sep = ","
		}
	}
	return b
}
