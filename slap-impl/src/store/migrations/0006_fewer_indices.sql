-- The instances of a computer are found by their partitions, and those of a release by `instance_that_hosts`: one index less to write for
-- each new instance.
DROP INDEX instance_of_release;
