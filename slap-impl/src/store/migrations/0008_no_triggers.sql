-- What a computer is told is counted by the program (`store/room.rs`), by the same views: a statement that can fire a trigger copies each page
-- that it changes before, to be able to undo it, and each connection translates all triggers anew.
DROP TRIGGER instance_comes;
DROP TRIGGER instance_goes;
DROP TRIGGER instance_will_change;
DROP TRIGGER instance_changed;
DROP TRIGGER title_will_change;
DROP TRIGGER title_changed;
DROP TRIGGER partition_comes;
DROP TRIGGER partition_goes;
DROP TRIGGER address_comes;
DROP TRIGGER address_goes;
DROP TRIGGER supply_comes;
DROP TRIGGER supply_goes;
DROP TRIGGER supply_will_move;
DROP TRIGGER supply_moved;
