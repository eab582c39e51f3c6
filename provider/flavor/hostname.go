package flavor

import "strings"

// longest is how long a name of a host may be.
const longest = 63

// Hostname is the host name that clouds give a server of a name: in lower case, with one "-" for
// each run of other characters than letters of ASCII, digits and "-", cut to 63.
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
