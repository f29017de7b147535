# Reads delivery status notifications with Sisimai, which programs use that handle
# bounces. For each file it prints "recipient|action|status" for each recipient, and
# then a line of two hyphens.
use strict;
use warnings;
use Sisimai;

my $read = Sisimai->can('rise') || Sisimai->can('make');
for my $file (@ARGV) {
    my $found = $read->('Sisimai', $file, delivered => 1) || [];
    print join('|', $_->recipient->address, $_->action, $_->deliverystatus), "\n" for @$found;
    print "--\n";
}
