package cloudcmd

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/imagecmd"
	"github.com/hostler-project/hostler/host/clouds"
)

// cloudOptions are the options of all verbs of cloud.
type cloudOptions struct {
	provider string // "": that of the deployment, else openstack
	name     string // the deployment's
	region   string
	cloud    string // in clouds.yaml
	file     string
	profile  string // of AWS
	endpoint string
	subnets  *[]string // of EC2; nil: the verb has no such option
	said     func(flag string) bool
}

// NewCloud returns the command cloud, with those for a project of a cloud below it.
func NewCloud(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cloud",
		Short: "Make what servers of a cloud need, take it down, and show what a cloud has",
		Long: `Make what the servers of a project of an OpenStack need beside themselves, under one name: a key pair, a security group, a network, a router; take it down
again with all servers in it; list servers, flavors, images and quotas. With -p ec2 the same for an account of EC2 in a region, where networks are there already. docs/cloud.md has more.

Credentials are found as the cloud's own client does: --cloud or $OS_CLOUD in clouds.yaml, or the OS_ variables; --profile or $AWS_PROFILE, or the other AWS_ variables.`,
		Example: "  hostler cloud deploy --cloud lab --from 203.0.113.0/24\n  hostler cloud deploy -p ec2 --region eu-west-1 --os 'debian-12-amd64-*'\n  hostler cloud servers --cloud lab\n  hostler cloud teardown --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCloudDeploy(a), newCloudTeardown(a), newCloudServers(a), newCloudFlavors(a), newCloudQuota(a), newCloudImages(a))
	return cmd
}

// flags declares the options of all verbs. Words in them may be joined by - or _.
func (o *cloudOptions) flags(a *cli.App, cmd *cobra.Command, named bool) {
	f := cmd.Flags()
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	o.said = f.Changed
	f.StringVarP(&o.provider, "provider", "p", "", "the `TYPE` of the cloud: openstack or ec2 (what the deployment is in, else openstack)")
	f.StringVar(&o.cloud, "cloud", "", "the cloud `NAME` of clouds.yaml; $OS_CLOUD unless it is said")
	f.StringVar(&o.file, "clouds-file", "", "read this `FILE` for clouds.yaml")
	f.StringVar(&o.region, "region", "", "the region `NAME`, in place of the one that goes with the credentials")
	f.StringVar(&o.profile, "profile", "", "of EC2: the profile `NAME` of AWS's files; $AWS_PROFILE unless it is said")
	f.StringVar(&o.endpoint, "endpoint", "", "of EC2: another service than Amazon's, at this `URL`")
	_ = cmd.MarkFlagFilename("clouds-file", "yaml", "yml")
	_ = cmd.RegisterFlagCompletionFunc("provider", cobra.FixedCompletions(clouds.Types(), cobra.ShellCompDirectiveNoFileComp))
	for _, flag := range []string{"cloud", "profile", "endpoint", "region"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	if named {
		f.StringVar(&o.name, "resource-name", "", "the `NAME` of the deployment and of everything in it (hostler-USER)")
		_ = cmd.RegisterFlagCompletionFunc("resource-name", func(cmd *cobra.Command, p1 []string, p2 string) (cli.Candidates,
			cobra.ShellCompDirective) {
			return completeDeployments(a, cmd, p1, p2)
		})
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// longestUser is how much of a user's name goes into a deployment's name.
const longestUser = 18

// resource returns the deployment's name.
func (o *cloudOptions) resource(a *cli.App) string {
	if o.name != "" {
		return o.name
	}
	user := a.Owner()
	return "hostler-" + user[:min(len(user), longestUser)]
}

// completeDeployments offers the recorded deployments.
func completeDeployments(a *cli.App, cmd *cobra.Command, _ []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	if _, err := imagecmd.Besides(a, cmd.Context()); err == nil {
		all, _ := clouds.NewDeployments(a.Host.Store()).All(cmd.Context())
		for _, rec := range all {
			out = append(out, cobra.CompletionWithDesc(rec.Name, rec.State))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
