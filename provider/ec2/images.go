package ec2

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// Image is an image that an instance can be made from.
type Image struct {
	ID      string
	Name    string
	Owner   string // an account
	Arch    string // in Go's words
	Public  bool
	Size    int64 // of its root volume, in bytes
	Created time.Time
}

// Images lists the images that can be launched, the newest first. Without a prefix they are the
// account's own. With one they are those of the configured owners whose names begin so.
func (p *Provider) Images(ctx context.Context, prefix string) ([]Image, error) {
	in := &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{session.Filter("state", "available")}}
	switch {
	case strings.HasPrefix(prefix, "ami-"):
		in = &ec2.DescribeImagesInput{ImageIds: []string{prefix}}
	case prefix != "":
		in.Owners, in.Filters = p.images.owners(), append(in.Filters, session.Filter("name", strings.TrimSuffix(prefix, "*")+"*"))
	}
	all, err := p.images.describe(ctx, in)
	if err == nil && len(all) == 0 && prefix != "" {
		err = &compute.Error{
			ID: compute.ID(prefix), Kind: compute.ErrNotFound,
			Err: fmt.Errorf("no image whose name begins so is there for %s", strings.Join(p.images.owners(), ", ")),
		}
	}
	if err != nil {
		return nil, session.Wrap(ctx, "Images", compute.ID(prefix), err)
	}
	var out []Image
	for _, i := range all {
		created, _ := time.Parse(time.RFC3339, i.created) // zero: unknown
		out = append(
			out,
			Image{
				ID: i.id, Name: i.name, Owner: i.owner, Arch: session.ArchName(i.arch), Public: i.public, Size: i.size << 30,
				Created: created,
			},
		)
	}
	return out, nil
}
