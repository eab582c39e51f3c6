package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/hostler-project/hostler/compute"
)

// metadataService is the address where clouds tell a server about itself.
const metadataService = "http://169.254.169.254"

// InCloud returns the server of the project that this process runs on. nil: it runs elsewhere. It
// asks the metadata service and a mounted config drive for the server's id. Otherwise the host name
// counts, but only if exactly one server has it, and that server has an address of this machine.
func InCloud(ctx context.Context, cloud Cloud, metadata string) (*servers.Server, error) {
	if id := ownID(ctx, metadata); id != "" {
		s, err := servers.Get(ctx, cloud.Compute, id).Extract()
		if err == nil {
			return s, nil
		}
		if !isGone(err) {
			return nil, failed("look for the server that this is", id, err)
		}
		return nil, nil // a server of another project or cloud
	}
	name, err := os.Hostname()
	if err != nil {
		return nil, nil
	}
	all, err := list(ctx, servers.List(cloud.Compute, servers.ListOpts{}), servers.ExtractServers)
	if err != nil {
		return nil, failed("look for the server that this is", name, err)
	}
	return namedLike(all, name, ownAddresses()), nil
}

// namedLike returns the only server with a host's name, if it has one of its addresses.
func namedLike(all []servers.Server, host string, own []string) *servers.Server {
	host, _, _ = strings.Cut(host, ".")
	var found []servers.Server
	for _, s := range all {
		if hostName(s.Name) == strings.ToLower(host) &&
			slices.ContainsFunc(addresses(s), func(a string) bool { return slices.Contains(own, a) }) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return &found[0]
}

// notHost matches the characters that a host name cannot have.
var notHost = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9-]+`) })

// hostName returns the host name that the cloud gives to a server with a name.
func hostName(server string) string {
	const longest = 63
	name := notHost().ReplaceAllString(strings.ToLower(server), "-")
	return name[:min(len(name), longest)]
}

// ownID returns the id of the server that this machine is. "": unknown.
func ownID(ctx context.Context, metadata string) string {
	if metadata == "none" {
		return ""
	}
	if metadata == "" {
		metadata = metadataService
	}
	const path = "openstack/latest/meta_data.json"
	for _, dir := range []string{"/mnt/config", "/media/configdrive", "/run/cloud-init/config-drive"} {
		if data, err := os.ReadFile(filepath.Join(dir, path)); err == nil && metadata == metadataService {
			return idIn(data)
		}
	}
	const wait, most = time.Second, 1 << 20
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata+"/"+path, nil)
	if err != nil {
		return ""
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	resp, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	data := make([]byte, 0, 1024)
	for buf := make([]byte, 4096); len(data) < most; {
		n, err := resp.Body.Read(buf)
		data = append(data, buf[:n]...)
		if err != nil {
			break
		}
	}
	if resp.StatusCode != http.StatusOK {
		return ""
	}
	return idIn(data)
}

// idIn returns the server's id in the metadata service's JSON, or "" if there is none.
func idIn(data []byte) string {
	var meta struct {
		UUID string `json:"uuid"`
	}
	if json.Unmarshal(data, &meta) != nil {
		return ""
	}
	return meta.UUID
}

// ownAddresses returns the addresses of this machine without the loopback's.
func ownAddresses() (out []string) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
			out = append(out, p.Addr().String())
		}
	}
	return out
}

// addresses returns all addresses of a server.
func addresses(s servers.Server) (out []string) {
	for _, network := range s.Addresses {
		entries, _ := network.([]any)
		for _, e := range entries {
			fields, _ := e.(map[string]any)
			if addr, ok := fields["addr"].(string); ok {
				out = append(out, addr)
			}
		}
	}
	slices.Sort(out)
	return out
}

// self returns the server that we run on. It looks once.
func (w *work) self(ctx context.Context) (_ *servers.Server, err error) {
	if !w.asked {
		w.own, err = InCloud(ctx, w.cloud, w.opt.Metadata)
		w.asked = err == nil
	}
	return w.own, err
}

// ownNetwork is for a Deploy on a server of the cloud. It uses the network of that server that has
// the wanted subnet, and makes nothing.
func (w *work) ownNetwork(ctx context.Context, self *servers.Server) error {
	own, err := list(ctx, ports.List(w.cloud.Network, ports.ListOpts{DeviceID: self.ID}), ports.ExtractPorts)
	if err != nil {
		return failed("look for the networks of", self.Name, err)
	}
	var ranges []string
	for _, p := range own {
		all, err := list(ctx, subnets.List(w.cloud.Network, subnets.ListOpts{NetworkID: p.NetworkID}), subnets.ExtractSubnets)
		if err != nil {
			return failed("look for the networks of", self.Name, err)
		}
		for _, s := range all {
			if s.CIDR != w.rec.Settings.CIDR {
				ranges = append(ranges, s.CIDR)
				continue
			}
			w.rec.given(Thing{Kind: Network, Name: w.opt.Name, ID: p.NetworkID})
			w.rec.given(Thing{Kind: Subnet, Name: w.opt.Name, ID: s.ID})
			w.tell(Found, Network, w.opt.Name, p.NetworkID, "that of this server: used as it is, and not deleted")
			return w.save(ctx)
		}
	}
	return &compute.Error{ID: compute.ID(w.opt.Name), Kind: compute.ErrNotFound,
		Err: fmt.Errorf(
			"no subnet matches the range %s: the networks of this server, %s, have %s", w.rec.Settings.CIDR, self.Name,
			strings.Join(ranges, ", "),
		),
		Hint: "--network-cidr with one of these"}
}
