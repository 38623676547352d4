-- A new instance is counted by the program, whether it has a partition or a host (`insert_instance`): a statement that can fire a trigger
-- copies each page that it changes before, to be able to undo it.
DROP TRIGGER instance_comes;
