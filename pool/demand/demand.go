// Package demand is what a request asks of a computer, beyond that it is one of its source's: how
// two demands compare, how one is written into the store, and how people read it.
package demand

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/units"
)

// Demand is what a request asks of a computer. The zero value asks for nothing. It can be compared.
type Demand struct {
	Cores    float64 `json:"cores,omitempty"`
	Memory   int64   `json:"memory,omitempty"` // bytes
	Disk     int64   `json:"disk,omitempty"`   // bytes
	GPUs     int     `json:"gpus,omitempty"`
	Price    float64 `json:"price,omitempty"` // at most
	Image    string  `json:"image,omitempty"`
	Flavor   string  `json:"flavor,omitempty"`
	Location string  `json:"location,omitempty"`
	Data     string  `json:"data,omitempty"` // the digest of its user data
}

// Digest is a Demand's Data for some user data.
func Digest(userData string) string {
	if userData == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(userData))
	return hex.EncodeToString(sum[:8])
}

// Read decodes what Text has written. A text that cannot be read is the zero demand.
func Read(text string) (d Demand) {
	if text != "" && json.Unmarshal([]byte(text), &d) != nil {
		return Demand{}
	}
	return d
}

// Text encodes a demand for the store; "": it asks for nothing.
func (d Demand) Text() string {
	if d == (Demand{}) {
		return ""
	}
	text, _ := json.Marshal(d) // strings and finite numbers
	return string(text)
}

// Beyond returns the demand without what is usual: what all computers of a source have.
func (d Demand) Beyond(usual Demand) Demand {
	if d.Image == usual.Image {
		d.Image = ""
	}
	if d.Flavor == usual.Flavor {
		d.Flavor = ""
	}
	if d.Flavor != "" { // a flavor may have any size
		return d
	}
	if d.Cores <= usual.Cores {
		d.Cores = 0
	}
	if d.Memory <= usual.Memory {
		d.Memory = 0
	}
	if d.Disk <= usual.Disk {
		d.Disk = 0
	}
	if d.GPUs <= usual.GPUs {
		d.GPUs = 0
	}
	return d
}

// Within reports whether a source that can give o can give d too: d asks for nothing that o does
// not, and for no more of it. Of two flavors it is not known which is larger.
func (d Demand) Within(o Demand) bool {
	same := func(a, b string) bool { return a == "" || a == b }
	return d.Cores <= o.Cores && d.Memory <= o.Memory && d.Disk <= o.Disk && d.GPUs <= o.GPUs &&
		(d.Price == 0 || o.Price != 0 && o.Price <= d.Price) &&
		same(d.Image, o.Image) && d.Flavor == o.Flavor && same(d.Location, o.Location) && same(d.Data, o.Data)
}

// Amount is the size that it asks for.
func (d Demand) Amount() compute.Resources {
	return compute.Resources{Cores: d.Cores, Memory: d.Memory, Disk: d.Disk, GPUs: d.GPUs}
}

// Chosen reports whether no ready instance will do for it.
func (d Demand) Chosen() bool { return d.Image+d.Flavor+d.Location+d.Data != "" }

// Choice says for people what it chooses in place of the source's own.
func (d Demand) Choice() string {
	var parts []string
	for _, p := range [][2]string{{"image", d.Image}, {"flavor", d.Flavor}, {"location", d.Location}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if d.Data != "" {
		parts = append(parts, "user data")
	}
	return strings.Join(parts, ", ")
}

// String is for people.
func (d Demand) String() string {
	var parts []string
	if d.Cores != 0 {
		parts = append(parts, compute.Resources{Cores: d.Cores}.String())
	}
	if d.Memory != 0 {
		parts = append(parts, units.RoundSize(d.Memory)+" of memory")
	}
	if d.Disk != 0 {
		parts = append(parts, units.RoundSize(d.Disk)+" of disk")
	}
	if d.GPUs != 0 {
		word := "GPUs"
		if d.GPUs == 1 {
			word = "GPU"
		}
		parts = append(parts, fmt.Sprintf("%d %s", d.GPUs, word))
	}
	if d.Price != 0 {
		parts = append(parts, fmt.Sprintf("a price of at most %v", d.Price))
	}
	if c := d.Choice(); c != "" {
		parts = append(parts, c)
	}
	return strings.Join(parts, ", ")
}
