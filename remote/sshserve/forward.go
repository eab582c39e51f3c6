package sshserve

import (
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/provider"
)

// dial connects from the computer for the client, as ssh -L wants it.
func (s *server) dial(n ssh.NewChannel) {
	network, address := "unix", ""
	if n.ChannelType() == "direct-tcpip" {
		var in struct {
			Host   string
			Port   uint32
			Origin string
			From   uint32
		}
		if ssh.Unmarshal(n.ExtraData(), &in) != nil {
			_ = n.Reject(ssh.ConnectionFailed, "malformed")
			return
		}
		network, address = "tcp", net.JoinHostPort(in.Host, strconv.Itoa(int(in.Port)))
	} else {
		var in struct {
			Path     string
			Reserved string
			Rest     uint32
		}
		if ssh.Unmarshal(n.ExtraData(), &in) != nil {
			_ = n.Reject(ssh.ConnectionFailed, "malformed")
			return
		}
		address = in.Path
	}
	d, ok := provider.As[provider.Dialer](s.opt.Conn)
	if !ok {
		_ = n.Reject(ssh.Prohibited, "this kind of computer cannot forward that way")
		return
	}
	far, err := d.Dial(s.ctx, network, address)
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, requests, err := n.Accept()
	if err != nil {
		_ = far.Close()
		return
	}
	go ssh.DiscardRequests(requests) // ends with the channel
	s.join(ch, far)
}

// join copies both ways until both have ended.
func (s *server) join(ch ssh.Channel, far net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(ch, far)
		_ = ch.CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(far, ch)
		if half, ok := far.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		} else {
			_ = far.Close()
		}
	})
	stop := make(chan struct{})
	go func() { // what the client leaves open ends with it
		select {
		case <-s.ctx.Done():
			_ = far.Close()
			_ = ch.Close()
		case <-stop:
		}
	}()
	both.Wait()
	close(stop)
	_ = far.Close()
	_ = ch.Close()
}

// requests does what is asked of the connection as a whole: to listen, as ssh -R wants it.
func (s *server) requests(in <-chan *ssh.Request) {
	for r := range in {
		ok, answer := false, []byte(nil)
		switch r.Type {
		case "tcpip-forward", "cancel-tcpip-forward":
			var at struct {
				Host string
				Port uint32
			}
			if ssh.Unmarshal(r.Payload, &at) != nil {
				break
			}
			name := net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port)))
			if r.Type != "tcpip-forward" {
				ok = s.unlisten(name)
				break
			}
			host := at.Host
			if host == "" || host == "localhost" {
				host = "127.0.0.1" // as sshd has it without GatewayPorts
			}
			l := s.listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(at.Port))))
			if l == nil {
				break
			}
			ok = true
			port := at.Port
			if port == 0 {
				_, text, _ := net.SplitHostPort(l.Addr().String())
				n, _ := strconv.ParseUint(text, 10, 16)
				port = uint32(n)
				answer = ssh.Marshal(struct{ Port uint32 }{port})
				name = net.JoinHostPort(at.Host, strconv.Itoa(int(port)))
			}
			s.serve(name, l, "forwarded-tcpip", func(c net.Conn) []byte {
				from, text := "127.0.0.1", "0"
				if h, p, err := net.SplitHostPort(c.RemoteAddr().String()); err == nil {
					from, text = h, p
				}
				n, _ := strconv.ParseUint(text, 10, 16)
				return ssh.Marshal(struct {
					Host   string
					Port   uint32
					Origin string
					From   uint32
				}{at.Host, port, from, uint32(n)})
			})
		case "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com":
			var at struct{ Path string }
			if ssh.Unmarshal(r.Payload, &at) != nil {
				break
			}
			if r.Type != "streamlocal-forward@openssh.com" {
				ok = s.unlisten(at.Path)
				break
			}
			if l := s.listen("unix", at.Path); l != nil {
				ok = true
				s.serve(at.Path, l, "forwarded-streamlocal@openssh.com", func(net.Conn) []byte {
					return ssh.Marshal(struct{ Path, Reserved string }{at.Path, ""})
				})
			}
		}
		if r.WantReply {
			_ = r.Reply(ok, answer)
		}
	}
}

// listen listens on the computer; nil: it cannot.
func (s *server) listen(network, address string) net.Listener {
	far, ok := provider.As[provider.Listener](s.opt.Conn)
	if !ok {
		return nil
	}
	l, err := far.Listen(s.ctx, network, address)
	if err != nil {
		s.opt.Log.Debug("ssh: cannot listen there", "address", address, "err", err)
		return nil
	}
	return l
}

// serve hands the connections of a listener to the client, each as a channel that is described so.
func (s *server) serve(name string, l net.Listener, kind string, describe func(net.Conn) []byte) {
	s.mu.Lock()
	s.listeners[name] = l
	s.mu.Unlock()
	s.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() {
				ch, requests, err := s.conn.OpenChannel(kind, describe(c))
				if err != nil {
					_ = c.Close()
					return
				}
				go ssh.DiscardRequests(requests)
				s.join(ch, c)
			})
		}
	})
}

func (s *server) unlisten(name string) bool {
	s.mu.Lock()
	l := s.listeners[name]
	delete(s.listeners, name)
	s.mu.Unlock()
	return l != nil && l.Close() == nil
}

// closeListeners closes every listener and forgets it.
func (s *server) closeListeners() {
	s.mu.Lock()
	all := s.listeners
	s.listeners = map[string]net.Listener{}
	s.mu.Unlock()
	for _, l := range all {
		_ = l.Close()
	}
}
