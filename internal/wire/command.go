package wire

import (
	"fmt"

	"github.com/postrider/postrider/internal/ascii"
)

// maxCommand is the longest command line without its CRLF. RFC 5321, Section
// 4.5.3.1.4 has 512 octets, to which the extensions in use add theirs.
const maxCommand = 1300

// AppendCommand adds line and CRLF to b. A byte that could end the line, or
// that no command may hold, is refused and b is returned as it was: this is the
// last guard behind the checks of the input.
func AppendCommand(b, line []byte) ([]byte, error) {
	if len(line) > maxCommand {
		return b, fmt.Errorf("command of %d bytes is too long; it begins %.40q", len(line), string(line))
	}
	if ascii.HasControl(line) {
		return b, fmt.Errorf("command %q holds a control character", string(line))
	}
	b = append(b, line...)
	return append(b, '\r', '\n'), nil
}

// AppendRcpt is AppendCommand of RCPT without parameters (RFC 5321, Section 4.1.1.3). What
// AppendCommand refuses is not ok.
func AppendRcpt(b []byte, path string) (_ []byte, ok bool) {
	const before, behind = "RCPT TO:<", ">\r\n"
	n := len(b) + len(before)
	b = append(append(append(b, before...), path...), behind...)
	if path := b[n : len(b)-len(behind)]; len(path) > maxCommand-len("RCPT TO:<>") || ascii.HasControl(path) {
		return b[:n-len(before)], false
	}
	return b, true
}
