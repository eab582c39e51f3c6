package kubeconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/hostler-project/hostler/compute"
)

// Unknown stands in a place for a part that is not known.
const Unknown = "-"

// Place is where a configuration leads.
type Place struct {
	Server string // its address
	// the digests of the certificates that it is known by: of all together, then of each, with
	// commas. Unknown: the system's authorities are used.
	Authority string
	Namespace string
}

// PlaceOf returns the place of a configuration.
func PlaceOf(config *rest.Config, namespace string) Place {
	out := Place{Server: config.Host, Authority: Unknown, Namespace: namespace}
	if len(config.CAData) > 0 {
		digests := []string{digest(config.CAData)}
		for rest := config.CAData; ; {
			block, after := pem.Decode(rest)
			if block == nil {
				break
			}
			if each := digest(block.Bytes); len(digests) <= authoritiesMost && !slices.Contains(digests, each) {
				digests = append(digests, each)
			}
			rest = after
		}
		out.Authority = strings.Join(digests, ",")
	}
	return out
}

// authoritiesMost is the number of certificates of a configuration whose digests are kept.
const authoritiesMost = 16

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// Related reports whether two places have one address and a certificate in common. During a change
// of authorities both the old and the new one are known. A common certificate alone proves little:
// all clusters of an organisation may have it.
func (p Place) Related(o Place) bool {
	if p.Server != o.Server || p.Authority == Unknown || o.Authority == Unknown {
		return false
	}
	all := strings.Split(o.Authority, ",")
	return slices.ContainsFunc(strings.Split(p.Authority, ","), func(one string) bool { return slices.Contains(all, one) })
}

func (p Place) String() string { return fmt.Sprintf("the namespace %s of %s", p.Namespace, p.Server) }

// Elsewhere is the error of a configuration that leads to another place than before.
func Elsewhere(now, was Place) error {
	text := fmt.Sprintf("it is in %s, and the kubeconfig leads to %s now", was, now)
	hint := "have it lead there again, until what is there is gone; kubeconfig, context and namespace of the source keep it from following the current context"
	if now.Server == was.Server && now.Namespace == was.Namespace {
		text = fmt.Sprintf("%s is known by another certificate authority now", now)
		hint = "if it is the same cluster, have the kubeconfig name the authority of before beside the new one, until what was made before is gone; else have it lead there again"
	}
	return &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New(text), Hint: hint}
}
