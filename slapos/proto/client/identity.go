package client

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// identity is a certificate with its key, as the two files have it now. So a process that runs for
// months goes on when they are replaced, before the old one expires or after it was revoked.
type identity struct {
	certFile, keyFile string

	mu   sync.Mutex
	pair *tls.Certificate
	seen [2]version
}

// version says which file it is that has a name.
type version struct {
	at   time.Time
	size int64
	file fs.FileInfo
}

// newIdentity loads a key pair. It looks at the files before it reads them, so a change
// meanwhile is noticed later.
func newIdentity(certFile, keyFile string) (*identity, error) {
	i := &identity{certFile: certFile, keyFile: keyFile}
	i.seen = i.look()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", certFile, keyFile, err)
	}
	i.pair = &pair
	return i, nil
}

func (i *identity) look() (all [2]version) {
	for n, name := range []string{i.certFile, i.keyFile} {
		if info, err := os.Stat(name); err == nil {
			all[n] = version{info.ModTime(), info.Size(), info}
		}
	}
	return all
}

func (v version) same(w version) bool {
	return v.file != nil && w.file != nil && v.at.Equal(w.at) && v.size == w.size && os.SameFile(v.file, w.file)
}

// certificate is the pair for a connection that is about to be. While the files are being
// replaced, or are not to be read, it is the last one that was whole.
func (i *identity) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := i.look(); !now[0].same(i.seen[0]) || !now[1].same(i.seen[1]) {
		if pair, err := tls.LoadX509KeyPair(i.certFile, i.keyFile); err == nil {
			i.pair, i.seen = &pair, now
		}
	}
	return i.pair, nil
}
