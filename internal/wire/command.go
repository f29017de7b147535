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

// AppendRcpt is AppendCommand of RCPT without parameters (RFC 5321, Section 4.1.1.3). It
// refuses what AppendCommand does by giving b as it was.
func AppendRcpt(b []byte, path string) []byte {
	n := len(b)
	b = append(append(append(b, "RCPT TO:<"...), path...), ">\r\n"...)
	if line := b[n : len(b)-2]; len(line) > maxCommand || ascii.HasControl(line) {
		return b[:n]
	}
	return b
}
