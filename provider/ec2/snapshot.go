package ec2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

var _ provider.Snapshotter = (*Provider)(nil)

// parting is the script that an instance runs before an image is made of it. It removes what
// belongs to one machine alone (provider.MachineOwn), and resets cloud-init.
const parting = `set -e
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /root/.ssh/authorized_keys
for f in /home/*/.ssh/authorized_keys; do rm -f "$f"; done
test ! -e /etc/machine-id || : >/etc/machine-id
test -L /var/lib/dbus/machine-id || rm -f /var/lib/dbus/machine-id
! command -v cloud-init >/dev/null || cloud-init clean --logs || :
find /tmp -xdev -mindepth 1 -delete 2>/dev/null || :
sync`

// asRoot runs a script as root, with sudo if necessary.
const asRoot = `test "$(id -u)" = 0 && exec sh -c "$1"; exec sudo -n sh -c "$1"`

// stopWithin is how long an instance may take to shut down before an image is made of it.
const stopWithin = 2 * time.Minute

// Snapshot makes an image of an instance, which loses its identity and, unless it is a spot
// instance, is stopped. It waits until the image is available. An older image of the name is
// deleted, with its snapshots.
func (p *Provider) Snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	name, err := p.snapshot(ctx, id, spec)
	return name, session.Wrap(ctx, "Snapshot", id, err)
}

// snapshot stops the instance, makes the image, and deletes the older ones. Another call continues
// what an interrupted one began.
func (p *Provider) snapshot(ctx context.Context, id compute.ID, spec provider.ImageSpec) (string, error) {
	m, err := p.instances.find(ctx, id, time.Now())
	if err != nil {
		return "", err
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return "", err
	}
	if m.State != types.InstanceStateNameStopped { // else an earlier call got this far and died
		if err := p.part(ctx, id); err != nil {
			return "", err
		}
		if m.Spot == "" {
			if err := p.session.At("stop for image"); err != nil {
				return "", err
			}
			if _, err := c.Instances.Stop(ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.Instance}}); err != nil {
				return "", err
			}
			stopping, cancel := context.WithTimeout(ctx, stopWithin)
			defer cancel()
			if err := p.instances.await(stopping, id, types.InstanceStateNameStopped, nil); err != nil {
				return "", err
			}
		}
	}
	before, err := p.images.made(ctx, spec.Name)
	if err != nil {
		return "", err
	}
	if err := p.session.At("create image"); err != nil {
		return "", err
	}
	tags := []types.Tag{
		session.Tag(session.TagInstallation, p.o.Installation), session.Tag(session.TagSource, p.o.Source),
		session.Tag(session.TagImage, spec.Name),
		session.Tag(session.TagUser, m.User), session.Tag("Name", spec.Name),
	}
	for key, value := range spec.Labels {
		if len(tags) < 45 && len(key) < 120 && len(value) <= 256 && !strings.HasPrefix(key, "aws:") && !strings.HasPrefix(key, "hostler:") {
			tags = append(tags, session.Tag(key, value))
		}
	}
	out, err := c.Images.Create(ctx, &ec2.CreateImageInput{
		InstanceId: aws.String(m.Instance), Name: aws.String(amiName(spec.Name, m.Instance)), NoReboot: aws.Bool(true),
		Description: aws.String("made by hostler of " + string(id)),
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeImage, Tags: tags}, {ResourceType: types.ResourceTypeSnapshot, Tags: tags},
		},
	})
	if err != nil && !(session.Why(err) == session.Conflicting && strings.Contains(err.Error(), "InvalidAMIName.Duplicate")) {
		return "", err
	}
	made := ""
	if err == nil {
		made = aws.ToString(out.ImageId)
	}
	if err := p.images.await(ctx, spec.Name, made, amiName(spec.Name, m.Instance)); err != nil {
		return "", err
	}
	if err := p.session.At("delete image"); err != nil {
		return "", err
	}
	for _, old := range before {
		if old.id != made && old.name != amiName(spec.Name, m.Instance) {
			if err := p.images.delete(ctx, c, old.id); err != nil {
				return "", err
			}
		}
	}
	p.images.forget(spec.Name)
	return spec.Name, nil
}

// amiName returns a name that EC2 accepts for an image. Other characters are replaced, and the
// instance's id makes it unique.
func amiName(name, instance string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("()[] ./-'@_", r) {
			return r
		}
		return '-'
	}, name)
	return clean[:min(len(clean), 127-len(instance))] + "-" + instance
}

// part runs the parting script on an instance.
func (p *Provider) part(ctx context.Context, id compute.ID) error {
	c, err := p.connect(ctx, id)
	if err != nil {
		return err
	}
	defer c.Close()
	var said bytes.Buffer
	exit, err := c.Run(ctx, &compute.Command{Args: []string{"sh", "-c", asRoot, "sh", p.parting}, Stdout: &said, Stderr: &said})
	if err != nil {
		return err
	}
	if exit.Status() != 0 {
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf(
			"it does not forget who it is: status %d: %s", exit.Status(), strings.TrimSpace(said.String()),
		),
			Hint: "commands have to run as root in it, or as one who may use sudo without a password"}
	}
	return nil
}

// ImageDigest returns the id of the image that a name means now. Images never change.
func (p *Provider) ImageDigest(ctx context.Context, image string, _ bool) (string, error) {
	if image == "" {
		image = p.o.Image
	}
	if strings.HasPrefix(image, "resolve:") {
		return "", &compute.Error{
			Op: "ec2.ImageDigest", ID: compute.ID(image), Kind: compute.ErrInvalid,
			Err: errors.New("a parameter may change at any time"),
		}
	}
	img, err := p.images.find(ctx, image, true)
	if err != nil {
		return "", session.Wrap(ctx, "ImageDigest", compute.ID(image), err)
	}
	return img.id, nil
}
