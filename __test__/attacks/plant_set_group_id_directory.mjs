export { after } from "./plant_set_user_id_file.mjs";
