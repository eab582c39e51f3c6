package configurecmd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/nodecmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/slapos/node/service"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

// localView is `slapos configure local --json`.
type localView struct {
	Computer string `json:"computer"`
	Config   string `json:"config"`
	Client   string `json:"client"`
	Master   string `json:"master_url"`
}

const (
	LocalComputer = "local_computer"
	localGroup    = "slapproxy"
	localPatience = 60 * time.Second // until the master answers on a busy machine
)

// localOptions has the options of `slapos configure local`.
type localOptions struct {
	nic, network, ip                      string
	partitions, port                      int
	instances, software, buildout, config string
	cache                                 bool
}

func newLocal(s *session.Session) *cobra.Command {
	o := &localOptions{}
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Make this machine a whole SlapOS by itself: a node, with a master of its own",
		Long: `Write slapos.cfg for this machine as the computer local_computer, whose master runs here too, kept running by the node's own supervisor; write the client's file (--cfg, or where the other
commands look for it) unless there is one; and start supervisor and master. What is there already and says something else is left alone, and is an error. Then hostler slapos node format --now makes the
partitions, and hostler node has what is wanted.

Partitions have addresses of IPv6, of the interface's network. Where that has none, as lo, a private network is made up, and stands in slapformat-definition.cfg beside slapos.cfg.

The master listens on this machine alone and asks nobody who he is.`,
		Example: "  hostler slapos configure local --interface-name eth0\n  hostler slapos node format --now",
		Args:    cobra.NoArgs,
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return configureLocal(ctx, s, o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.nic, "interface-name", "lo", "the partitions' addresses are on the interface `NAME`")
	f.IntVar(&o.partitions, "partition-number", 20, "how many partitions: `N`")
	f.StringVar(&o.network, "ipv4-local-network", "10.0.0.0/16", "the partitions' IPv4 addresses are in `NET`")
	f.StringVar(&o.ip, "daemon-listen-ip", "127.0.0.1", "the master listens on `ADDR`, which is this machine's alone")
	f.IntVar(&o.port, "daemon-listen-port", 8080, "and on the port `N`")
	f.StringVar(&o.instances, "slapos-instance-root", "/srv/slapgrid", "instances go to `DIR`")
	f.StringVar(&o.software, "slapos-software-root", "/opt/slapgrid", "software goes to `DIR`")
	f.StringVar(&o.buildout, "slapos-buildout-directory", "/opt/slapos", "what the master knows, and who runs, goes to `DIR`")
	f.StringVar(&o.config, "slapos-configuration-directory", "/etc/opt/slapos", "slapos.cfg goes to `DIR`")
	f.BoolVar(&o.cache, "enable-shacache-proxy", false, "have the master be a binary cache too")
	for _, name := range []string{
		"slapos-instance-root", "slapos-software-root", "slapos-buildout-directory", "slapos-configuration-directory",
	} {
		_ = cmd.MarkFlagDirname(name)
	}
	return cmd
}

// check refuses bad options, and makes the paths absolute.
func (o *localOptions) check() error {
	ip, err := netip.ParseAddr(o.ip)
	switch {
	case err != nil || !ip.IsLoopback():
		return fault.Invalid(
			"hostler slapos proxy start can listen elsewhere, with certificates",
			"--daemon-listen-ip %s: an address of this machine alone, as 127.0.0.1", o.ip,
		)
	case o.port < 1 || o.port > 65535:
		return fault.Invalid("", "--daemon-listen-port %d: from 1 to 65535", o.port)
	case o.partitions < 1:
		return fault.Invalid("", "--partition-number %d: at least 1", o.partitions)
	}
	if _, err := netip.ParsePrefix(o.network); err != nil {
		return fault.Invalid("", "--ipv4-local-network: %w", err)
	}
	for option, text := range map[string]*string{
		"--slapos-instance-root": &o.instances, "--slapos-software-root": &o.software,
		"--slapos-buildout-directory": &o.buildout, "--slapos-configuration-directory": &o.config,
	} {
		if *text, err = filepath.Abs(*text); err != nil {
			return err
		}
		if err := oneLine(*text); err != nil {
			return fault.Invalid("", "%s: %w", option, err)
		}
	}
	if err := oneLine(o.nic + "."); err != nil {
		return fault.Invalid("", "--interface-name: %w", err)
	}
	return nil
}

func (o *localOptions) master() string {
	return "http://" + net.JoinHostPort(o.ip, strconv.Itoa(o.port)) + "/"
}

// definition returns the path of the file with the IPv6 network of the partitions' addresses, for
// an interface that has none.
func (o *localOptions) definition() string {
	return filepath.Join(o.config, "slapformat-definition.cfg")
}

// network6 reports whether to read the definition, and writes it if needed. The first decision
// stays, since later the interface has the partitions' own addresses.
func (o *localOptions) network6() (defined bool, err error) {
	if os.Geteuid() != 0 {
		return false, nil // no addresses are made
	}
	nic, err := net.InterfaceByName(o.nic)
	if err != nil {
		return false, fault.Invalid("ip link lists what there is", "--interface-name: there is no interface %s", o.nic)
	}
	for _, path := range []string{o.definition(), filepath.Join(o.config, "slapos.cfg")} {
		if _, err := os.Stat(path); err == nil {
			return path == o.definition(), nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	all, err := nic.Addrs()
	if err != nil {
		return false, err
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsGlobalUnicast() {
			return false, nil
		}
	}
	if off, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + o.nic + "/disable_ipv6"); err != nil || strings.TrimSpace(string(off)) != "0" {
		return false, fault.Conflict(
			"sysctl -w net.ipv6.conf."+o.nic+".disable_ipv6=0, if the kernel has it",
			"IPv6 is off on the interface %s, and each partition has an address of it", o.nic,
		)
	}
	ip := [16]byte{0: 0xfd, 15: 1} // RFC 4193: the next 40 bits are random
	_, _ = rand.Read(ip[1:6])
	if err := os.MkdirAll(o.config, 0o755); err != nil {
		return false, err
	}
	return true, writeNew(o.definition(), fmt.Sprintf("[computer]\naddress = %s/64\n", netip.AddrFrom16(ip)))
}

// text returns the slapos.cfg of node and master.
func (o *localOptions) text(defined bool) string {
	at := func(name string) string { return percent(filepath.Join(o.buildout, name)) }
	root, alter := "", ""
	if defined {
		alter = "input_definition_file = " + percent(o.definition()) + "\n"
	}
	if os.Geteuid() != 0 { // all belongs to the calling user
		root, alter = "root_check = false\n", "alter_user = false\nalter_network = false\n"
	}
	text := fmt.Sprintf(`[slapos]
software_root = %s
instance_root = %s
master_url = %s
computer_id = %s
%spidfile_software = %s
pidfile_instance = %s
pidfile_report = %s

[slapformat]
computer_xml = %s
partition_amount = %d
partition_base_name = slappart
user_base_name = slapuser
tap_base_name = slaptap
interface_name = %s
ipv4_local_network = %s
create_tap = false
%s
[slapproxy]
host = %s
port = %d
database_uri = %s
`, percent(o.software), percent(o.instances), percent(o.master()), LocalComputer, root, at("slapgrid-sr.pid"), at("slapgrid-cp.pid"), at("slapgrid-ur.pid"), at("slapos.xml"),
		o.partitions, percent(o.nic), percent(o.network), alter, o.ip, o.port, at("slapproxy.db"))
	if o.cache {
		url := o.master() + slapos.CachePath[1:]
		text += fmt.Sprintf(`shacache_content_directory = %s
shacache_metadata_directory = %s

[networkcache]
download-cache-url = %[3]s/cache
download-dir-url = %[3]s/dir
`, at("shacache/content"), at("shacache/dir"), percent(url))
	}
	return text
}

// configureLocal writes the files, and starts the master.
func configureLocal(ctx context.Context, s *session.Session, o *localOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := service.CheckPlatform(); err != nil {
		return err
	}
	client, err := s.ClientFile()
	if err != nil {
		return err
	}
	v := localView{Computer: LocalComputer, Config: filepath.Join(o.config, "slapos.cfg"), Master: o.master()}
	if v.Client, err = filepath.Abs(client); err != nil {
		return err
	}
	defined, err := o.network6()
	if err != nil {
		return err
	}
	if err := settle(v.Config, o.text(defined), 0o755); err != nil {
		return err
	}
	if err := settle(
		v.Client,
		fmt.Sprintf(
			"[slapos]\nmaster_url = %s\nmaster_rest_url = %shateoas\n# alias =\n#   NAME URL\n", percent(v.Master),
			percent(v.Master),
		),
		0o700,
	); err != nil {
		if !errors.Is(err, compute.ErrConflict) {
			return err
		}
		s.Log.Warn("%s is there already, and stays as it is: its master_url would have to be %s.", v.Client, v.Master)
	}
	for _, dir := range []string{o.buildout, o.instances, o.software} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	s.File = v.Config
	n, err := nodecmd.OpenNode(s)
	if err != nil {
		return err
	}
	defer n.Close()
	if err := runMaster(ctx, n, o.buildout); err != nil {
		return err
	}
	s.Log.Say(
		"This machine is %s of %s, which runs; %s is written. hostler slapos node format --now makes its partitions.",
		v.Computer, v.Master, v.Config,
	)
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	return nil
}

// settle writes a file, unless another text is there: ErrConflict.
func settle(path, text string, mode fs.FileMode) error {
	was, err := os.ReadFile(path)
	if err == nil && string(was) == text {
		return nil
	} else if err == nil {
		return fault.Conflict("move it away first", "%s is there already, and says something else", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), mode); err != nil {
		return err
	}
	return writeNew(path, text)
}

// runMaster has the node's supervisor run the master, and returns when the master answers.
func runMaster(ctx context.Context, n *service.Node, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	sv, err := n.Supervisor(ctx)
	if err != nil {
		return err
	}
	defer sv.Close()
	groups, err := sv.Groups(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(groups, localGroup) {
		// Another server at this address would be taken for our master.
		host, err := n.File.Text("slapproxy", "host")
		if err != nil {
			return err
		}
		port, err := n.File.Text("slapproxy", "port")
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			return controller.CannotListen("--daemon-listen-ip and --daemon-listen-port", net.JoinHostPort(host, port), err)
		}
		_ = l.Close()
	}
	const log = "slapos-proxy.log"
	g := supervise.Group{Name: localGroup, Programs: []supervise.Program{{Name: "slapos-proxy",
		Command: []string{self, "slapos", "proxy", "start", "--cfg", n.Path}, Dir: dir,
		Env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, Log: log, Keep: supervise.Again}}}
	if _, err := sv.Put(ctx, g); err != nil {
		return err
	}
	if err := sv.Start(ctx, localGroup+":*"); err != nil {
		return err
	}
	client, err := n.Master()
	if err != nil {
		return err
	}
	patience, tick := time.After(localPatience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := client.Computer(ctx, n.Settings.Computer); err == nil || !errors.Is(err, slapclient.ErrUnreachable) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience:
			return &compute.Error{
				Op: "configure local", Kind: compute.ErrTimeout,
				Err:  fmt.Errorf("the master does not answer at %s", n.Settings.Master),
				Hint: "its log is " + filepath.Join(dir, log),
			}
		}
	}
}
