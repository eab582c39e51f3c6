package ironic

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Way is how an image is written to a node ahead of need.
type Way string

// The ways.
const (
	// it is deployed under our ownership, and granted as it is: a hot standby
	Deploy   Way = "deploy"
	Allocate Way = "allocate" // the same, but the node is claimed by the allocation API
	Clean    Way = "clean"    // a manual cleaning step of the ramdisk writes it
	// a vendor's call writes it, as in Arsenal: POST vendor_passthru/cache_image
	Passthru Way = "passthru"
	Prefetch Way = "prefetch" // it is deployed once and wiped, so the conductor's cache has it
)

var ways = []Way{Deploy, Allocate, Clean, Passthru, Prefetch}

func (w Way) valid() bool { return slices.Contains(ways, w) }

// standby reports whether nodes are deployed while they wait.
func (w Way) standby() bool { return w == Deploy || w == Allocate }

// The states of a mark.
const (
	caching = "caching"
	cached  = "cached"
	failed  = "failed"
	wiping  = "wiping" // without a way; it means nothing once the node is wiped
)

// mark is our data about a node, in its extra under "hostler". The zero value: the node is nothing
// to us.
type mark struct {
	Image    string    `json:"image,omitempty"`
	Checksum string    `json:"checksum,omitempty"`
	State    string    `json:"state,omitempty"` // caching, cached or failed; wiping
	Since    time.Time `json:"since,omitzero"`
	// how many times an image was written to the node
	Attempt int `json:"attempt,omitempty"`
	Way     Way `json:"way,omitempty"`
	// Clean: when the node's state last changed before the step was requested. Passthru: the
	// vendor's call was answered. wiping: when the node became manageable.
	Step         string `json:"step,omitempty"`
	Installation string `json:"installation,omitempty"`
	Source       string `json:"source,omitempty"`   // of the instance on the node
	Instance     string `json:"instance,omitempty"` // the instance's name; "": there is none
	Hit          bool   `json:"hit,omitempty"`      // the node had the instance's image already
	User         string `json:"user,omitempty"`     // the log-in user
	ImageName    string `json:"image_name,omitempty"`
	HostKey      string `json:"host_key,omitempty"` // in the form of known_hosts
	// of a hot standby: a digest of the keys and the user data that it got
	Told string `json:"told,omitempty"`
}

// claim returns the instance_uuid that claims a node for a purpose of ours. Equal words give an
// equal claim, so a process whose request had no answer recognises its own.
func claim(words ...string) string {
	h := sha256.New()
	for _, w := range words {
		fmt.Fprintf(h, "%d:%s", len(w), w)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // version 8: a custom format
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// standbyClaim returns the cache's claim on a node, while that is written or wiped.
func standbyClaim(installation, node string) string { return claim("standby", installation, node) }

// instanceClaim returns an instance's claim on a node.
func instanceClaim(installation, instance string) string {
	return claim("instance", installation, instance)
}

// bootConfigDigest returns a digest of what all nodes of a source are told at their first boot:
// the keys that may log in, and user data. "": nothing.
func bootConfigDigest(keys []string, userData []byte) string {
	if len(keys) == 0 && len(userData) == 0 {
		return ""
	}
	words := []string{"told", string(userData)}
	for _, k := range keys {
		fields := strings.Fields(k)
		// the comment of a key does not matter
		words = append(words, strings.Join(fields[:min(2, len(fields))], " "))
	}
	return claim(words...)
}
