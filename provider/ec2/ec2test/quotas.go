package ec2test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serviceQuotas answers as Service Quotas does: JSON both ways, the action in a header, and the
// kind of an error in its body. A page has two quotas, so there are several pages.
func (c *Cloud) serviceQuotas(w http.ResponseWriter, r *http.Request, action string) {
	var in struct{ ServiceCode, NextToken string }
	wrong := json.NewDecoder(r.Body).Decode(&in)
	c.mu.Lock()
	c.calls[action]++
	bad := admit(c.o, &c.rate, r)
	if signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); bad == nil &&
		(err != nil || signed.Sub(c.o.now()).Abs() > 5*time.Minute) {
		bad = &Fault{Status: http.StatusForbidden, Code: "InvalidSignatureException", Message: "Signature not yet current or expired"}
	}
	for _, x := range c.faults {
		if bad == nil && x.left != 0 && x.action == action {
			x.left--
			bad = &x.fault
		}
	}
	at := c.o.now()
	c.mu.Unlock()
	switch {
	case bad != nil:
	case !strings.Contains(r.Header.Get("Authorization"), "/servicequotas/aws4_request"):
		bad = &Fault{
			Status: http.StatusForbidden, Code: "InvalidSignatureException",
			Message: "Credential should be scoped to correct service: 'servicequotas'.",
		}
	case wrong != nil:
		bad = fault("SerializationException", "%v", wrong)
	case action != "ListServiceQuotas":
		bad = fault("UnknownOperationException", "")
	case in.ServiceCode != "ec2":
		bad = fault("NoSuchResourceException", "The request failed because the specified service does not exist.")
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
	if bad != nil {
		w.WriteHeader(cmp.Or(bad.Status, http.StatusBadRequest))
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": bad.Code, "Message": bad.Message})
		return
	}
	type object = map[string]any
	// this quota has no class
	all := []object{{"ServiceCode": "ec2", "QuotaCode": "L-0263D0A3", "QuotaName": "EC2-VPC Elastic IPs", "Value": 5.0, "Unit": "None"}}
	for _, class := range sortedKeys(c.o.Limits) {
		all = append(all, object{"ServiceCode": "ec2", "QuotaName": "Instances of " + class,
			"Value": float64(c.o.Limits[class]), "Unit": "None", "UsageMetric": object{
				"MetricNamespace": "AWS/Usage", "MetricName": "ResourceCount",
				"MetricDimensions": object{"Class": class, "Resource": "vCPU", "Service": "EC2", "Type": "Resource"}}})
	}
	from, _ := strconv.Atoi(in.NextToken) // none: the first page
	const page = 2
	out := object{"Quotas": slices.Clone(all[min(from, len(all)):min(from+page, len(all))])}
	if from+page < len(all) {
		out["NextToken"] = strconv.Itoa(from + page)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// now returns the service's time.
func (o Options) now() time.Time { return time.Now().Add(o.Skew) }
