package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// image is an image that instances are made from.
type image struct {
	id      string
	name    string
	root    string // the device of its root volume
	size    int64  // of the root volume, GiB
	arch    string // in EC2's words; "": not known
	created string // RFC 3339
	state   types.ImageState
	owner   string // an account
	public  bool
	login   string // the log-in user of an image that we made; "": by the image's name
	asked   time.Time
}

// images finds the images that a source may use.
type images struct {
	o       *settings
	session *session.Session

	mu    sync.Mutex
	known map[string]image // by the names that were asked for
}

// imageFor is how long the image of a name is cached. If it is gone, the name is looked up again at
// once.
const imageFor = 10 * time.Minute

// find returns the image that a name means. fresh looks it up again.
func (g *images) find(ctx context.Context, name string, fresh bool) (image, error) {
	if name == "" {
		return image{}, &compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New("no image is named"),
			Hint: "set image in the source to an id, or to a name such as debian-12-amd64-*",
		}
	}
	if strings.HasPrefix(name, "resolve:ssm:") {
		return image{id: name, name: name}, nil // the service looks it up at the launch
	}
	g.mu.Lock()
	img, ok := g.known[name]
	g.mu.Unlock()
	if ok && !fresh && time.Since(img.asked) < imageFor {
		return img, nil
	}
	all, err := g.like(ctx, name)
	if err != nil {
		return image{}, err
	}
	if len(all) == 0 {
		return image{}, &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound,
			Err:  fmt.Errorf("no image of this name is there for %s", strings.Join(g.owners(), ", ")),
			Hint: "the name may have * and ?; image-owners says whose images count"}
	}
	img = all[0]
	img.asked = time.Now()
	g.mu.Lock()
	g.known[name] = img
	g.mu.Unlock()
	return img, nil
}

func (g *images) owners() []string {
	if len(g.o.Owners) == 0 {
		return []string{"self", "amazon"}
	}
	return g.o.Owners
}

// like returns the images that a name or an id means, the newest first. Those that we made under
// the name come before all others.
func (g *images) like(ctx context.Context, name string) ([]image, error) {
	in := &ec2.DescribeImagesInput{
		Owners: g.owners(), Filters: []types.Filter{session.Filter("name", name), session.Filter("state", "available")},
	}
	if strings.HasPrefix(name, "ami-") {
		in = &ec2.DescribeImagesInput{ImageIds: []string{name}}
	} else if made, err := g.made(ctx, name); err != nil || len(made) > 0 {
		return made, err
	}
	return g.describe(ctx, in)
}

// made returns the existing images that Snapshot made under a name.
func (g *images) made(ctx context.Context, name string) ([]image, error) {
	return g.describe(ctx, &ec2.DescribeImagesInput{
		Owners: []string{"self"}, Filters: []types.Filter{
			session.Filter("tag:"+session.TagInstallation, g.o.Installation), session.Filter("tag:"+session.TagImage, name),
			session.Filter("state", "available"),
		},
	})
}

// describe lists images and converts them.
func (g *images) describe(ctx context.Context, in *ec2.DescribeImagesInput) ([]image, error) {
	c, err := g.session.API(ctx)
	if err != nil {
		return nil, err
	}
	var all []image
	for i, err := range c.Images.All(ctx, in) {
		if err != nil {
			return nil, err
		}
		img := image{id: aws.ToString(i.ImageId), name: aws.ToString(i.Name), root: aws.ToString(i.RootDeviceName),
			arch: string(i.Architecture), created: aws.ToString(i.CreationDate), state: i.State,
			owner: aws.ToString(i.OwnerId), public: aws.ToBool(i.Public)}
		for _, t := range i.Tags {
			if aws.ToString(t.Key) == session.TagUser {
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
	slices.SortFunc(all, func(a, b image) int {
		if a.created != b.created {
			return strings.Compare(b.created, a.created)
		}
		return strings.Compare(a.id, b.id)
	})
	return all, nil
}

// forget makes a name be looked up again.
func (g *images) forget(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, name)
}

// await waits until an image is available, which takes minutes. A new image is not found for a
// while.
func (g *images) await(ctx context.Context, name, id, ami string) error {
	for {
		all, err := g.describe(
			ctx,
			&ec2.DescribeImagesInput{
				Owners:  []string{"self"},
				Filters: []types.Filter{session.Filter("tag:"+session.TagInstallation, g.o.Installation), session.Filter("name", ami)},
			},
		)
		if err != nil {
			return err
		}
		for _, i := range all {
			switch {
			case id != "" && i.id != id:
			case i.state == types.ImageStateAvailable:
				return nil
			case i.state == types.ImageStateFailed, i.state == types.ImageStateError, i.state == types.ImageStateInvalid:
				return &compute.Error{ID: compute.ID(name), Kind: compute.ErrFailed, Err: fmt.Errorf("image %s is %s", i.id, i.state)}
			}
		}
		if err := session.Pause(ctx, g.o.Poll); err != nil {
			return err
		}
	}
}

// delete deletes an image of ours and its snapshots.
func (g *images) delete(ctx context.Context, c *session.Calls, id string) error {
	out, err := c.Images.Describe(ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	if session.Why(err) == session.Missing {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = c.Images.Deregister(ctx, &ec2.DeregisterImageInput{ImageId: aws.String(id)})
	if err != nil && session.Why(err) != session.Missing {
		return err
	}
	for _, i := range out.Images {
		for _, b := range i.BlockDeviceMappings {
			if b.Ebs == nil || aws.ToString(b.Ebs.SnapshotId) == "" {
				continue
			}
			_, err := c.Images.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: b.Ebs.SnapshotId})
			if err != nil && session.Why(err) != session.Missing {
				return err
			}
		}
	}
	return nil
}

// user returns the log-in user of an image, by the custom of its distribution.
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
