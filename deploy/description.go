package deploy

import (
	"net/netip"
	"time"
)

// Label marks the leases that are nodes: its value is 1.
const Label = "deploy"

// The states of a node, in the numbers that descriptions always had.
const (
	StateRunning = 0
	StateUnknown = 4
)

// Description is the JSON document about a node. The first seven keys are provision's.
type Description struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	State     int      `json:"state"`
	PublicIP  []string `json:"public_ip"`
	PrivateIP []string `json:"private_ip"`
	ImageID   string   `json:"image_id"`
	ImageName string   `json:"image_name"`

	Provider  string     `json:"provider"` // the source
	Region    string     `json:"region"`
	Size      string     `json:"size"`
	CreatedAt *time.Time `json:"created_at"` // null: not made
	SSH       *SSH       `json:"ssh"`
	Bundles   []Bundle   `json:"bundles"`
	Scripts   []Script   `json:"scripts"`
	// in the money of the source's price; null: no price
	CostPerHour *float64 `json:"cost_per_hour"`
	Lease       string   `json:"lease"`
}

// SSH says how to reach a node by ssh.
type SSH struct {
	User    string `json:"user"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
	Key     string `json:"key"`      // the file of the private key; "": an agent's
	HostKey string `json:"host_key"` // as known_hosts has it; "": not known
}

// Bundle is a bundle that was put on a node.
type Bundle struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// Script is a script that ran on a node.
type Script struct {
	Name       string  `json:"name"`
	ExitStatus int     `json:"exit_status"`
	Seconds    float64 `json:"seconds"`
	Log        string  `json:"log"` // the file with its output
}

// Addresses splits a node's addresses into public and private ones. A host's name counts as public.
// Neither list is nil.
func Addresses(all ...string) (public, private []string) {
	public, private = []string{}, []string{}
	for _, a := range all {
		if a == "" {
			continue
		}
		ip, err := netip.ParseAddr(a)
		if err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
			private = append(private, a)
		} else {
			public = append(public, a)
		}
	}
	return public, private
}
