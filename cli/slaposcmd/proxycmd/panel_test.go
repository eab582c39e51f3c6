package proxycmd

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// masterProgram starts hostler as a master that knows who asks, with more in its section.
func masterProgram(t *testing.T, mode, more string) *guarded {
	t.Helper()
	g := &guarded{t: t, dir: t.TempDir()}
	g.file = proxyConfiguration(
		t,
		strings.Replace(proxyFile, "port = 0\n", "port = 0\ntls = "+mode+"\nca_directory = "+filepath.Join(g.dir, "ca")+"\n"+more, 1),
	)
	cmd := exec.Command("hostler", "slapos", "proxy", "start", "--cfg", g.file)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said := regexp.MustCompile(`SlapOS master on (https://\S+)/,`)
	var all []string
	for lines := bufio.NewScanner(errs); g.url == "" && lines.Scan(); {
		all = append(all, lines.Text())
		if m := said.FindStringSubmatch(lines.Text()); m != nil {
			g.url = m[1]
		}
	}
	if g.url == "" {
		t.Fatal("it does not say where it is:", all)
	}
	go func() { _, _ = io.Copy(io.Discard, errs) }()
	for name, of := range map[string]string{"COMP-1": "computer", "COMP-2": "computer", "ann": "user", "bob": "user", "root": "user"} {
		if err := g.certificate(of, name, &certificateOptions{admin: name == "root"}); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// see asks for what an instance at an address shows, with somebody's certificate.
func (g *guarded) see(who, host string) (int, string) {
	g.t.Helper()
	config, err := client.TLS(filepath.Join(g.dir, who+".crt"), filepath.Join(g.dir, who+".key"), filepath.Join(g.dir, "ca", "ca.crt"))
	if err != nil {
		g.t.Fatal(err)
	}
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	answer, err := browser.Get(g.url + "/http_proxy/http/" + host + "/")
	if err != nil {
		g.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// secretEverywhere listens on all addresses of this machine and counts who comes.
func secretEverywhere(t *testing.T) (port string, reached *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	reached = &atomic.Int32{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, "this machine's own")
	}))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, reached
}

// innerAddresses are some that a node may say it has, and that lead to this machine, to metadata or
// to neighbours: those of this machine's interfaces among them.
func innerAddresses(t *testing.T) (out []string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err == nil && p.Addr().Zone() == "" {
			out = append(out, p.Addr().String())
		}
	}
	return append(out, "127.0.0.2", "0.0.0.0", "::", "::ffff:127.0.0.1", "169.254.169.254", "fd00:ec2::254", "fd20:ce::254",
		"100.100.100.200", "168.63.129.16", "64:ff9b::7f00:1", "2002:7f00:1::",
		"10.255.255.1", "172.31.255.1", "192.168.255.1", "100.64.0.1", "fd12:3456::1", "fe80::1", "224.0.0.1", "255.255.255.255")
}

// saying is a configuration of a computer whose one partition has some addresses.
func saying(guid string, addresses ...string) proto.Dictionary {
	c := configuration(guid)
	var list proto.List
	for _, ip := range addresses {
		list = append(list, proto.Dictionary{"addr": ip, "netmask": "255.255.255.255"})
	}
	c["partition_list"].(proto.List)[0].(proto.Dictionary)["address_list"] = list
	return c
}

// TestSlaposMasterLeadsNowhereWithin: a node may say that it has any address. By the page's way to
// instances nobody comes to this machine, to a metadata service or to an inner host, for no user,
// with an instance of their own there or without.
func TestSlaposMasterLeadsNowhereWithin(t *testing.T) {
	port, reached := secretEverywhere(t)
	for _, mode := range []string{"required", "optional"} {
		g := masterProgram(t, mode, "")
		inner := innerAddresses(t)
		if err := g.as("COMP-1").Configure(t.Context(), saying("COMP-1", inner...)); err != nil {
			t.Fatal(err)
		}
		if _, err := g.as("ann").Request(t.Context(), &proto.Request{Title: "mine", Release: "u"}); err != nil {
			t.Fatal(err)
		}
		for _, ip := range inner {
			for _, who := range []string{"root", "ann", "bob", "COMP-1"} {
				if status, text := g.see(who, net.JoinHostPort(ip, port)); status != http.StatusForbidden {
					t.Errorf(
						"mode = %s, ip = %s, who = %s: status = %d text = %s"+
							"; want status == http.StatusForbidden",
						mode, ip, who, status, text,
					)
				}
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d of them reached", n)
	}
}

// TestSlaposMasterLeadsToOnesOwn: where the operator allows an address, those come to it who have
// an instance there, the node and administrators, and at no port of the machine's services.
func TestSlaposMasterLeadsToOnesOwn(t *testing.T) {
	port, _ := secretEverywhere(t)
	g := masterProgram(t, "required", "fetch_allow = 10.0.0.0/8, 127.0.0.1\n")
	if err := g.as("COMP-1").Configure(t.Context(), saying("COMP-1", "127.0.0.1", "127.0.0.2")); err != nil {
		t.Fatal(err)
	}
	at := "127.0.0.1:" + port
	if status, text := g.see("ann", at); status != http.StatusForbidden || !strings.Contains(text, "No partition of yours") {
		t.Errorf("before anything is hers: %d %s", status, text)
	}
	if _, err := g.as("ann").Request(t.Context(), &proto.Request{Title: "mine", Release: "u"}); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]int{"ann": 200, "root": 200, "COMP-1": 200, "bob": 403, "COMP-2": 403} {
		if status, text := g.see(who, at); status != want || (status == 200) != (text == "this machine's own") {
			t.Errorf(
				"%s: status = %d text = %s"+
					`; want status == want and (status == 200) == (text == "this machine's own")`,
				who, status, text,
			)
		}
	}
	for _, other := range []string{"127.0.0.2:" + port, "127.0.0.1:22", "127.0.0.1:1", "127.0.0.3:" + port} {
		if status, text := g.see("root", other); status != http.StatusForbidden {
			t.Errorf("%s: status = %d text = %s; want status == http.StatusForbidden", other, status, text)
		}
	}
}

// TestSlaposPanelForThisMachine: a master that asks for no certificate, for this machine alone,
// leads its users to this machine.
func TestSlaposPanelForThisMachine(t *testing.T) {
	port, _ := secretEverywhere(t)
	url, end := proxied(t, proxyConfiguration(t, proxyFile), &startOptions{})
	defer func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	open, err := client.New(client.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := open.Configure(t.Context(), saying("COMP-1", "127.0.0.1", "169.254.169.254")); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"127.0.0.1:" + port: 200, "169.254.169.254:80": 403} {
		answer, err := http.Get(url + "/http_proxy/http/" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: answer.Status = %s; want answer.StatusCode == want", host, answer.Status)
		}
	}
}

// TestSlaposFetchKeys: what cannot be allowed is told with the file.
func TestSlaposFetchKeys(t *testing.T) {
	s := quiet(proxyConfiguration(t, strings.Replace(proxyFile, "port = 0\n", "port = 0\nfetch_allow = privat\n", 1)))
	if err := runStart(t.Context(), s, &startOptions{}); err == nil || !strings.Contains(err.Error(), "did you mean private?") {
		t.Error(err)
	}
}
