package ironic

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Way is how an image comes onto a node ahead of need.
type Way string

// The ways.
const (
	// it is deployed under our ownership, and handed over as it stands: a hot standby
	Deploy   Way = "deploy"
	Allocate Way = "allocate" // the same, after the node was claimed by the allocation API
	Clean    Way = "clean"    // a manual cleaning step of the ramdisk writes it
	// a vendor's call writes it, as Arsenal had it: POST vendor_passthru/cache_image
	Passthru Way = "passthru"
	Prefetch Way = "prefetch" // it is deployed once and wiped, so that the conductor keeps it
)

var ways = []Way{Deploy, Allocate, Clean, Passthru, Prefetch}

func (w Way) valid() bool { return slices.Contains(ways, w) }

// standby tells that nodes are deployed while they wait.
func (w Way) standby() bool { return w == Deploy || w == Allocate }

// The states of a mark.
const (
	caching = "caching"
	cached  = "cached"
	failed  = "failed"
	wiping  = "wiping" // and no way: it stays when the node is wiped, and then says nothing
)

// mark is what a node is to us. It stands in the node's extra, under "hostler".
type mark struct {
	Image    string    `json:"image,omitempty"`
	Checksum string    `json:"checksum,omitempty"`
	State    string    `json:"state,omitempty"` // caching, cached or failed; wiping
	Since    time.Time `json:"since,omitzero"`
	// so many times an image was written to the node
	Attempt int `json:"attempt,omitempty"`
	Way     Way `json:"way,omitempty"`
	// of Clean: when the node last changed its state, before the step was asked for; of Passthru:
	// the vendor's call was answered; wiping: when it became manageable
	Step         string `json:"step,omitempty"`
	Installation string `json:"installation,omitempty"`
	Source       string `json:"source,omitempty"`   // of the instance that the node is
	Instance     string `json:"instance,omitempty"` // its name; "": it is none
	Hit          bool   `json:"hit,omitempty"`      // the instance found its image there
	User         string `json:"user,omitempty"`     // who logs in
	ImageName    string `json:"image_name,omitempty"`
	HostKey      string `json:"host_key,omitempty"` // as known_hosts has it
	// of a hot standby: what stands for the keys and the user data that it was given
	Told string `json:"told,omitempty"`
}

// claim is the instance_uuid by which a node is taken for a purpose of ours. The same words give
// the same one, so that whoever lost his answer knows his own claim.
func claim(words ...string) string {
	h := sha256.New()
	for _, w := range words {
		fmt.Fprintf(h, "%d:%s", len(w), w)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // version 8: made by a custom of our own
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// standbyClaim takes a node for the cache: while it is written, and while it is wiped.
func standbyClaim(installation, node string) string { return claim("standby", installation, node) }

// instanceClaim takes one for an instance.
func instanceClaim(installation, instance string) string {
	return claim("instance", installation, instance)
}

// told stands for what a node was told at its first boot that is the same for all nodes of a
// source: the keys that it lets in, and user data. "": nothing.
func told(keys []string, userData []byte) string {
	if len(keys) == 0 && len(userData) == 0 {
		return ""
	}
	words := []string{"told", string(userData)}
	for _, k := range keys {
		fields := strings.Fields(k)
		// the comment opens nothing
		words = append(words, strings.Join(fields[:min(2, len(fields))], " "))
	}
	return claim(words...)
}
