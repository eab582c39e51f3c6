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

// mostConfig is the largest configuration file that is copied, in bytes.
const mostConfig = 32 << 10

// configFiles adds the caller's own configuration files of tools, without lines that look like
// credentials. It leaves out files that are hidden, or seen with their directory.
func (ms *masks) configFiles(h *hidden, files map[string]string) {
	if ms.o.Home == "" || ms.o.Home == "/" {
		return
	}
	for _, c := range mask.ConfigFiles() {
		at := filepath.Join(ms.o.Home, c.Path)
		if h.Shows(at) || h.hides(at) {
			continue
		}
		if text, ok := readConfig(at); ok {
			files[at] = text
		}
	}
}

// readConfig reads a file without lines that look like credentials. false: there is none, or it is
// not ours to read.
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

// telling matches a line or a section's head that may hold a credential, or that names a program to
// ask for one.
var telling = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`(?i)token|passw|passphrase|secret|auth|credential|cookie|header|private|apikey|api_key|api-key|\bkey\b|sslkey|sslcert|askpass|://[^/\s]*@|\binclude`,
	)
})

// harmless leaves out the lines that look like credentials, and the whole section of such a head.
func harmless(text string) string {
	var out strings.Builder
	section, goesOn := false, false // a section or a continued line that is left out
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
