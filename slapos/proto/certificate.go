package proto

// A Certificate is a certificate with its key, both in PEM and both "" from a master without
// certificates.
type Certificate struct {
	Key         string `json:"key"`
	Certificate string `json:"certificate"`
}

// ReadCertificate reads a certificate as a legacy endpoint answers it.
func ReadCertificate(v any) (*Certificate, error) {
	d, ok := v.(Dictionary)
	if !ok {
		return nil, Malformed("", "expected a dictionary, got %s", KindOf(v))
	}
	r := reader{of: "certificate"}
	pair := &Certificate{Key: r.text(d, "key"), Certificate: r.text(d, "certificate")}
	return pair, r.err
}
