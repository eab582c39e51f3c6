package ironic

import (
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

// properties are those of a node, numbers or texts.
type properties map[string]any

// text returns a property as text. It is "" if the property is missing, null, a list or an
// object.
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

// capability returns one capability of the list "boot_mode:uefi,raid:1".
func (p properties) capability(key string) string {
	list, _ := p["capabilities"].(string)
	for _, one := range strings.Split(list, ",") {
		if k, v, ok := strings.Cut(strings.TrimSpace(one), ":"); ok && k == key {
			return v
		}
	}
	return ""
}

// driverInfo has what we read of the driver_info: Arsenal's marks, and the address of the
// management controller.
type driverInfo struct {
	CacheStatus string `json:"cache_status"`
	CacheImage  string `json:"cache_image_id"`
	Redfish     string `json:"redfish_address"`
	IPMI        string `json:"ipmi_address"`
	IDRAC       string `json:"drac_address"`
	ILO         string `json:"ilo_address"`
}

// extra has what we read of the extra: marks, and values of the nodes' operator.
type extra struct {
	Flavor  string `json:"flavor"`
	Rack    string `json:"rack"`
	Address string `json:"address"`
	Mark    *mark  `json:"hostler"`
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

// number returns a property as a whole number; 0: it is none.
func (p properties) number(key string) int64 {
	n, _ := strconv.ParseInt(p.text(key), 10, 32)
	return n
}
