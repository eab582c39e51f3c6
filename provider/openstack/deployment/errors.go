package deployment

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// failed gives an error of the cloud a kind and a hint. It keeps the cloud's words, and adds what
// was being done.
func failed(doing, name string, err error) error {
	var e *compute.Error
	if errors.As(err, &e) {
		return err
	}
	err = openstack.Classify("Deploy", compute.ID(name), err)
	if errors.As(err, &e) {
		e.Err = fmt.Errorf("%s: %w", doing, e.Err)
	}
	return err
}
