package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
)

// image is what instances are made from.
type image struct {
	id      string
	name    string
	root    string // the device of its root volume
	size    int64  // of that, GiB
	arch    string // as EC2 has it; "": not known
	created string // RFC 3339
	state   types.ImageState
	owner   string // an account
	public  bool
	login   string // who logs in, of one that we made; "": by the name
	asked   time.Time
}

// imageFor is how long it is believed which image a name means. One that is gone meanwhile is asked
// for again at once.
const imageFor = 10 * time.Minute

// findImage returns the image that a name means. fresh asks again.
func (p *Provider) findImage(ctx context.Context, name string, fresh bool) (image, error) {
	if name == "" {
		return image{}, &compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New("no image is named"),
			Hint: "set image in the source to an id, or to a name such as debian-12-amd64-*",
		}
	}
	if strings.HasPrefix(name, "resolve:ssm:") {
		return image{id: name, name: name}, nil // the service looks it up as it launches
	}
	p.mu.Lock()
	img, ok := p.images[name]
	p.mu.Unlock()
	if ok && !fresh && time.Since(img.asked) < imageFor {
		return img, nil
	}
	all, err := p.imagesLike(ctx, name)
	if err != nil {
		return image{}, err
	}
	if len(all) == 0 {
		return image{}, &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound,
			Err:  fmt.Errorf("no image of this name is there for %s", strings.Join(p.owners(), ", ")),
			Hint: "the name may have * and ?; image-owners says whose images count"}
	}
	img = all[0]
	img.asked = time.Now()
	p.mu.Lock()
	p.images[name] = img
	p.mu.Unlock()
	return img, nil
}

func (p *Provider) owners() []string {
	if len(p.o.Owners) == 0 {
		return []string{"self", "amazon"}
	}
	return p.o.Owners
}

// imagesLike are those that a name or an id means, the newest first: those that we made under this
// name before all others.
func (p *Provider) imagesLike(ctx context.Context, name string) ([]image, error) {
	in := &ec2.DescribeImagesInput{Owners: p.owners(), Filters: []types.Filter{filter("name", name), filter("state", "available")}}
	if strings.HasPrefix(name, "ami-") {
		in = &ec2.DescribeImagesInput{ImageIds: []string{name}}
	} else if made, err := p.madeImages(ctx, name); err != nil || len(made) > 0 {
		return made, err
	}
	return p.describeImages(ctx, in)
}

// madeImages are those that Snapshot made under a name and that are there.
func (p *Provider) madeImages(ctx context.Context, name string) ([]image, error) {
	return p.describeImages(ctx, &ec2.DescribeImagesInput{
		Owners: []string{"self"}, Filters: []types.Filter{
			filter("tag:"+tagInstallation, p.o.Installation), filter("tag:"+tagImage, name),
			filter("state", "available"),
		},
	})
}

func (p *Provider) describeImages(ctx context.Context, in *ec2.DescribeImagesInput) ([]image, error) {
	c, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	var all []image
	pages := ec2.NewDescribeImagesPaginator(describeImagesPages(c.describeImages), in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range page.Images {
			img := image{id: aws.ToString(i.ImageId), name: aws.ToString(i.Name), root: aws.ToString(i.RootDeviceName),
				arch: string(i.Architecture), created: aws.ToString(i.CreationDate), state: i.State,
				owner: aws.ToString(i.OwnerId), public: aws.ToBool(i.Public)}
			for _, t := range i.Tags {
				if aws.ToString(t.Key) == tagUser {
					img.login = aws.ToString(t.Value)
				}
			}
			for _, b := range i.BlockDeviceMappings {
				if b.Ebs != nil && aws.ToString(b.DeviceName) == img.root {
					img.size = int64(aws.ToInt32(b.Ebs.VolumeSize))
				}
			}
			all = append(all, img)
		}
	}
	slices.SortFunc(all, func(a, b image) int {
		if a.created != b.created {
			return strings.Compare(b.created, a.created)
		}
		return strings.Compare(a.id, b.id)
	})
	return all, nil
}

// user is who logs in to an instance of an image, by the customs of those who make them.
func (i image) user() string {
	if i.login != "" {
		return i.login
	}
	for _, part := range []struct{ in, user string }{
		{"ubuntu", "ubuntu"}, {"debian", "admin"}, {"fedora", "fedora"}, {"centos", "centos"}, {"rocky", "rocky"},
		{"freebsd", "ec2-user"}, {"alpine", "alpine"},
	} {
		if strings.Contains(strings.ToLower(i.name), part.in) {
			return part.user
		}
	}
	return "ec2-user"
}
