package ironic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record is a node as Ironic has it. Null and missing fields are empty.
type record struct {
	UUID              string     `json:"uuid"`
	Name              string     `json:"name"`
	State             string     `json:"provision_state"`
	Target            string     `json:"target_provision_state"`
	Power             string     `json:"power_state"`
	Maintenance       bool       `json:"maintenance"`
	MaintenanceReason string     `json:"maintenance_reason"`
	Retired           bool       `json:"retired"`
	Protected         bool       `json:"protected"`
	Instance          string     `json:"instance_uuid"`
	Allocation        string     `json:"allocation_uuid"`
	Reservation       string     `json:"reservation"`
	Fault             string     `json:"fault"`
	LastError         string     `json:"last_error"`
	Class             string     `json:"resource_class"`
	Traits            []string   `json:"traits"`
	Properties        properties `json:"properties"`
	Driver            driverInfo `json:"driver_info"`
	Extra             extra      `json:"extra"`
	Conductor         string     `json:"conductor"`
	Group             string     `json:"conductor_group"`
	Shard             string     `json:"shard"`
	Updated           string     `json:"provision_updated_at"`
}

// properties of a node, numbers or texts.
type properties map[string]any

func (p properties) text(key string) string {
	switch v := p[key].(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// capability is one of those that stand in a list, "boot_mode:uefi,raid:1".
func (p properties) capability(key string) string {
	list, _ := p["capabilities"].(string)
	for _, one := range strings.Split(list, ",") {
		if k, v, ok := strings.Cut(strings.TrimSpace(one), ":"); ok && k == key {
			return v
		}
	}
	return ""
}

// driverInfo is what we read of it: Arsenal's marks, and by which management controller the node is
// reached.
type driverInfo struct {
	CacheStatus string `json:"cache_status"`
	CacheImage  string `json:"cache_image_id"`
	Redfish     string `json:"redfish_address"`
	IPMI        string `json:"ipmi_address"`
	IDRAC       string `json:"drac_address"`
	ILO         string `json:"ilo_address"`
}

// extra is what we read of it: marks, and what whoever runs the nodes wrote there.
type extra struct {
	Flavor  string `json:"flavor"`
	Rack    string `json:"rack"`
	Address string `json:"address"`
	Mark    *mark  `json:"hostler"`
}

// The states of which more than one place needs to know.
const (
	stateAvailable  = "available"
	stateActive     = "active"
	stateManageable = "manageable"
)

func (r *record) state() string {
	if r.State == "" { // null, as it was long ago
		return stateAvailable
	}
	return r.State
}

// deploying tells that an image is being written by a deployment.
func (r *record) deploying() bool {
	return slices.Contains([]string{"deploying", "wait call-back", "deploy hold", "rebuild"}, r.state())
}

// ending tells that a node is on its way back to be available.
func (r *record) ending() bool {
	return slices.Contains([]string{"deleting", "cleaning", "clean wait", "clean hold", "deleted"}, r.state())
}

// broken tells that its last deployment or cleaning failed.
func (r *record) broken() bool {
	return slices.Contains([]string{"deploy failed", "clean failed", "error", "service failed", "rescue failed"}, r.state())
}

// barred says why nobody may touch a node, whatever is on it. "": nothing.
func (r *record) barred() string {
	switch {
	case r.Maintenance:
		return strings.TrimSuffix("in maintenance: "+r.MaintenanceReason, ": ")
	case r.Fault != "":
		return "fault: " + r.Fault
	case r.Protected:
		return "protected"
	}
	return ""
}

// taken says why an image may not be written to a node. "": it may.
func (r *record) taken() string {
	if why := r.barred(); why != "" {
		return why
	}
	switch {
	case r.state() != stateAvailable:
		return r.state()
	case r.Retired:
		return "retired"
	case r.Allocation != "":
		return "claimed by allocation " + r.Allocation
	case r.Instance != "":
		return "claimed for instance " + r.Instance
	case r.Reservation != "":
		return "locked by conductor " + r.Reservation
	}
	return ""
}

// halfWiped tells that the cache has the node manageable to wipe it, and that nothing was done to
// it since: who should have sent it on died, or was not heard.
func (r *record) halfWiped(installation string) bool {
	m := r.Extra.Mark
	return m != nil && m.Way == "" && m.State == wiping && m.Installation == installation &&
		r.state() == stateManageable && m.Step != "" && m.Step == r.Updated
}

// others tells that another installation's cache has an image on it.
func (r *record) others(installation string) bool {
	m := r.Extra.Mark
	return m != nil && m.Way != "" && m.Instance == "" && m.Installation != installation && m.State != failed &&
		!(m.Way.standby() && r.state() == stateAvailable && r.Instance == "")
}

// failure is what Ironic says of it.
func (r *record) failure() string {
	if r.LastError == "" {
		return fmt.Sprintf("it is in state %s, and Ironic does not say why", r.state())
	}
	return strings.Join(strings.Fields(r.LastError), " ")
}

func (r *record) bmc() string {
	for _, a := range []string{r.Driver.Redfish, r.Driver.IPMI, r.Driver.IDRAC, r.Driver.ILO} {
		if a != "" {
			return a
		}
	}
	return ""
}

func (r *record) since() time.Time {
	if r.Extra.Mark != nil && !r.Extra.Mark.Since.IsZero() {
		return r.Extra.Mark.Since
	}
	t, _ := time.Parse(time.RFC3339, r.Updated)
	return t
}

// number is one of them as a whole number; 0: it is none.
func (p properties) number(key string) int64 {
	n, _ := strconv.ParseInt(p.text(key), 10, 32)
	return n
}
