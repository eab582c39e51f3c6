package sandbox

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// mostConfig is how long a file of configuration may be to be copied, in bytes.
const mostConfig = 32 << 10

// configFiles adds the caller's own configuration of tools, without what looks like credentials,
// unless it is hidden, or seen with what it is in.
func (p *Provider) configFiles(h *hidden, files map[string]string) {
	if p.o.Home == "" || p.o.Home == "/" {
		return
	}
	for _, c := range mask.ConfigFiles() {
		at := filepath.Join(p.o.Home, c.Path)
		if h.Shows(at) || h.hides(at) {
			continue
		}
		if text, ok := readConfig(at); ok {
			files[at] = text
		}
	}
}

// readConfig reads a file without what looks like credentials. false: there is none, or none of
// ours to read.
func readConfig(at string) (string, bool) {
	fd, err := unix.Open(at, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > mostConfig {
		return "", false
	}
	text, err := io.ReadAll(io.LimitReader(f, mostConfig))
	return harmless(string(text)), err == nil
}

// telling is what a line or the head of a section has that may hold a credential, or that has a
// program asked for one.
var telling = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`(?i)token|passw|passphrase|secret|auth|credential|cookie|header|private|apikey|api_key|api-key|\bkey\b|sslkey|sslcert|askpass|://[^/\s]*@|\binclude`,
	)
})

// harmless leaves out the lines that look like credentials, and all of a section whose head does.
func harmless(text string) string {
	var out strings.Builder
	section, goesOn := false, false // what is left out
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		left := goesOn || telling().MatchString(line)
		if strings.HasPrefix(trimmed, "[") && !goesOn {
			section = left
		}
		goesOn = left && strings.HasSuffix(trimmed, "\\")
		if !left && !section {
			out.WriteString(line)
		}
	}
	return out.String()
}
