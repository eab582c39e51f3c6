package openssh

import (
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/remote/shell"
)

// proxyConn is a ProxyCommand as a connection: its standard input and output. It is run by the
// user's shell, as OpenSSH does.
type proxyConn struct {
	cmd    *exec.Cmd
	in     *os.File // where we write
	out    *os.File // where we read
	stderr shell.Tail
	once   sync.Once
}

// StartProxy runs a ProxyCommand in the user's shell; closing the connection ends it.
func StartProxy(command string) (net.Conn, error) {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		inR.Close()
		inW.Close()
		return nil, err
	}
	c := &proxyConn{cmd: exec.Command(shell, "-c", "exec "+command), in: inW, out: outR}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = inR, outW, &c.stderr
	c.cmd.WaitDelay = time.Second
	// Ctrl-C is for the command over there; and there is nobody to prompt
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = c.cmd.Start()
	inR.Close()
	outW.Close()
	if err != nil {
		inW.Close()
		outR.Close()
		return nil, err
	}
	return c, nil
}

func (c *proxyConn) Read(b []byte) (int, error)  { return c.out.Read(b) }
func (c *proxyConn) Write(b []byte) (int, error) { return c.in.Write(b) }

// Close ends the command: first by closing its input, soon by force.
func (c *proxyConn) Close() error {
	c.once.Do(func() {
		c.in.Close()
		c.out.Close()
		kill := time.AfterFunc(time.Second, func() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) })
		c.cmd.Wait()
		kill.Stop()
	})
	return nil
}

func (c *proxyConn) LocalAddr() net.Addr                { return proxyAddr{} }
func (c *proxyConn) RemoteAddr() net.Addr               { return proxyAddr{} }
func (c *proxyConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *proxyConn) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *proxyConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

type proxyAddr struct{}

func (proxyAddr) Network() string { return "proxy" }
func (proxyAddr) String() string  { return "proxy command" }

// ProxyComplaint returns what a proxy command complained about, as an addition to an error's text.
func ProxyComplaint(c net.Conn) string {
	if p, ok := c.(*proxyConn); ok {
		p.Close()
		if s := p.stderr.LastLine(); s != "" {
			return ": " + s
		}
	}
	return ""
}
