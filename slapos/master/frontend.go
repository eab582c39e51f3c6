package master

import (
	"context"
	"net"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/slapos/proto"
)

// A Frontend is a shared instance that is answered without any host, as if a frontend stood before
// the URL in its parameters. So software that asks for one works without it.
type Frontend struct {
	Release string // a part of the release's URL
	Type    string // the software type; "": any
	Kind    frontendKind
}

// A frontendKind says how a frontend is requested, and how the master answers.
type frontendKind string

const (
	frontendURL  frontendKind = "url"  // from url: domain and secure_access
	frontendHost frontendKind = "host" // from host and port: url, domainname, port and path
)

// defaultFrontends are those that the reference has.
func defaultFrontends() []Frontend {
	return []Frontend{
		{Release: "/software/apache-frontend/software.cfg", Kind: frontendURL},
		{Release: "/software/kvm/software.cfg", Type: "frontend", Kind: frontendHost},
	}
}

// parseFrontend reads a frontend as configurations have it: PART [TYPE] KIND, with a part of the
// release's URL.
func parseFrontend(line string) (f Frontend, ok bool) {
	words := strings.Fields(line)
	if len(words) < 2 || len(words) > 3 {
		return f, false
	}
	f.Release, f.Kind = words[0], frontendKind(words[len(words)-1])
	if len(words) == 3 {
		f.Type = words[1]
	}
	return f, f.Kind == frontendURL || f.Kind == frontendHost
}

// ParseFrontends reads a table of them; the one line none is an empty one. bad is the line that is
// none, "" where all are.
func ParseFrontends(lines []string) (all []Frontend, bad string) {
	all = []Frontend{} // which is not nil
	if len(lines) == 1 && strings.TrimSpace(lines[0]) == "none" {
		return all, ""
	}
	for _, line := range lines {
		f, ok := parseFrontend(line)
		if !ok {
			return nil, line
		}
		all = append(all, f)
	}
	return all, ""
}

// frontend answers a request that is for one; nil: it is for none.
func (m *requests) frontend(ctx context.Context, a *requestState) *proto.Object {
	if !a.Shared {
		return nil
	}
	for _, f := range m.opt.Frontends {
		if !strings.Contains(a.Release, f.Release) || f.Type != "" && f.Type != a.Type {
			continue
		}
		switch f.Kind {
		case frontendURL:
			text, _ := a.Parameters["url"].(string)
			u, err := url.Parse(text)
			if err != nil || u.Host == "" {
				continue
			}
			shown := text
			if base, _ := ctx.Value(baseKey{}).(string); m.opt.Forwards && strings.HasPrefix(base, "https:") &&
				(u.Scheme == "http" || u.Scheme == "https") {
				shown = slashed(base) + "http_proxy/" + u.Scheme + "/" + u.Host + u.RequestURI()
			}
			return fakePartition("Fake frontend for "+text, proto.Dictionary{"secure_access": shown, "domain": u.Host})
		case frontendHost:
			host, _ := a.Parameters["host"].(string)
			port, _ := a.Parameters["port"].(string)
			if host == "" || port == "" {
				continue
			}
			if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
				host = "[" + host + "]"
			}
			text := "https://" + host + ":" + port + "/"
			connection := proto.Dictionary{"url": text, "domainname": host, "port": port, "path": "/"}
			return fakePartition("Fake KVM VNC frontend for "+text, connection)
		}
	}
	return nil
}

func fakePartition(id string, connection proto.Dictionary) *proto.Object {
	return &proto.Object{Class: proto.ClassPartition, Args: proto.Tuple{"", id, nil}, Attributes: proto.Dictionary{
		"_computer_id": "", "_connection_dict": connection, "_parameter_dict": proto.Dictionary{},
		"_partition_id": id, "_request_dict": nil,
		"slap_computer_id": "", "slap_computer_partition_id": "",
	}}
}
