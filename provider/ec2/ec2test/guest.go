package ec2test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/remote/sshserve"
)

// Guests are ssh servers in this process, one for each instance. They have their own addresses
// 127.x.y.z and one port. As cloud-init does, they take the host's key and the log-in keys from the
// user data, and print the host's key on the console. Commands run on this machine, in the
// directory Dir.
type Guests struct {
	Port int    // of all
	Dir  string // where commands start
	// the image's user: its commands run as this process's user; other users must exist here
	User string

	mu sync.Mutex
	// the keys that hosts made for themselves, by instance; they survive a stop
	keys map[string]ssh.Signer
	last int
}

// NewGuests finds a free port.
func NewGuests(dir string) (*Guests, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return &Guests{User: "admin", Port: l.Addr().(*net.TCPAddr).Port, Dir: dir, keys: map[string]ssh.Signer{}}, nil
}

// Start starts a guest. It is for Options.Guest.
func (g *Guests) Start(b Boot) (Guest, error) {
	said, err := readUserData(b.UserData)
	if err != nil {
		return Guest{Console: "cloud-init: " + err.Error() + "\n"}, err
	}
	keys := append(said.Keys, b.Key)
	var may []ssh.PublicKey
	for _, line := range keys {
		if k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil {
			may = append(may, k)
		}
	}
	if may == nil {
		may = []ssh.PublicKey{}
	}
	host, err := g.hostKey(b.Instance, said.Host["ed25519_private"])
	if err != nil {
		return Guest{}, err
	}
	l, err := g.listen()
	if err != nil {
		return Guest{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	conn := process.New(process.Options{Dir: g.Dir})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_ = sshserve.Serve(ctx, c, sshserve.Options{Conn: conn, Key: host, Keys: may, User: g.User})
			}) // a client that disconnects is no error of ours
		}
	})
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	return Guest{
		Address: l.Addr().(*net.TCPAddr).IP.String(),
		Console: "Linux version 6.1\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n" + line + " root@host\r\n-----END SSH HOST KEY KEYS-----\r\nlogin: ",
		Stop: func() {
			_ = l.Close()
			cancel()
			all.Wait()
			_ = conn.Close()
		},
	}, nil
}

// listen opens an unused loopback address.
func (g *Guests) listen() (net.Listener, error) {
	for {
		g.mu.Lock()
		g.last++
		n := g.last
		g.mu.Unlock()
		l, err := net.Listen("tcp", net.JoinHostPort(fmt.Sprintf("127.%d.%d.%d", 90+n/62500, n/250%250, 2+n%250), strconv.Itoa(g.Port)))
		if err == nil || n > 1000 {
			return l, err
		}
	}
}

// hostKey returns the host key from the user data, or one that the host makes for itself once.
func (g *Guests) hostKey(instance, private string) (ssh.Signer, error) {
	if private != "" {
		return ssh.ParsePrivateKey([]byte(private))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.keys[instance]; k != nil {
		return k, nil
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	s, err := ssh.NewSignerFromKey(key)
	g.keys[instance] = s
	return s, err
}

// cloudConfig is the part of the user data that is read.
type cloudConfig struct {
	Keys []string          `yaml:"ssh_authorized_keys"`
	Host map[string]string `yaml:"ssh_keys"`
}

// readUserData reads all parts of user data that are cloud-config.
func readUserData(data []byte) (out cloudConfig, err error) {
	for _, part := range parts(data) {
		if !bytes.HasPrefix(part, []byte("#cloud-config")) {
			continue
		}
		var c cloudConfig
		if err := yaml.Unmarshal(part, &c); err != nil {
			return out, err
		}
		out.Keys = append(out.Keys, c.Keys...)
		if c.Host != nil {
			out.Host = c.Host
		}
	}
	return out, nil
}

// parts splits user data.
func parts(data []byte) (out [][]byte) {
	if data = unpacked(data); !bytes.HasPrefix(data, []byte("Content-Type: multipart/")) {
		return [][]byte{data}
	}
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return nil
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			return nil
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil
		}
		out = append(out, b)
	}
}

// unpacked returns data uncompressed.
func unpacked(data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return data
	}
	all, err := io.ReadAll(r)
	if err != nil {
		return data
	}
	return all
}
