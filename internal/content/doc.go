// Package content looks at messages and writes them: one pass finds what the
// envelope and the server need to know, another repairs line ends and makes
// lines that begin with a dot transparent.
package content
