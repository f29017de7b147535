package content

// Join gives the facts of two pieces of a message, of which the first is whole
// lines of the header. Its Sum means nothing.
func Join(head, rest Facts) Facts {
	return Facts{
		Size:         head.Size + rest.Size,
		WireSize:     head.WireSize + rest.WireSize,
		LongestLine:  max(head.LongestLine, rest.LongestLine),
		EightBit:     head.EightBit || rest.EightBit,
		HeaderUTF8:   head.HeaderUTF8 || rest.HeaderUTF8,
		NUL:          head.NUL || rest.NUL,
		StrayCRLF:    head.StrayCRLF || rest.StrayCRLF,
		LeadingDots:  head.LeadingDots || rest.LeadingDots,
		Unterminated: rest.Unterminated,
	}
}
