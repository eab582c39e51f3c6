package flavor

import "strings"

// longest is the greatest length of a host name.
const longest = 63

// Hostname returns the host name that clouds give a server with a name. It is in lower case, with
// one "-" for each run of characters other than ASCII letters, digits and "-". It is cut to 63
// characters.
func Hostname(server string) string {
	var out strings.Builder
	other := false
	for _, c := range strings.ToLower(server) {
		if c == '-' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			out.WriteRune(c)
			other = false
			continue
		}
		if !other {
			out.WriteByte('-')
		}
		other = true
	}
	return out.String()[:min(out.Len(), longest)]
}
